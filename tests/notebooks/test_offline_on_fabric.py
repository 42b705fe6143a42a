"""Cells for an endpoint that is offline, and what is installed on one that is online."""

from __future__ import annotations

import threading

import pytest

from tests.notebooks.kernels import kernel
from tests.support.fabric import eventually

pytestmark = pytest.mark.xdist_group("fabric-kernel")


@pytest.fixture
def two(new_fabric):
    return new_fabric(endpoints=("local", "theta"), workers=1)


def test_offline_is_said_at_once_and_there_are_three_ways_on(two):
    two.stop_endpoint("theta")
    with kernel(two.environment()) as book:
        book.run("%load_ext funcx_jupyter")
        name, text = book.run("%%funcx theta\n1").error
        assert name == "EndpointOffline"
        assert "EndpointOffline: theta is offline (last seen " in text
        assert text.endswith(
            "Online now: local. Use `--wait-endpoint 600`, `--fallback local`, or `%funcx start theta`."
        )
        timed = book.run(
            "import time\ntimes = []\nfor n in range(5):\n    start = time.perf_counter()\n    try:\n"
            "        get_ipython().run_cell_magic('funcx', 'theta', '1')\n    except Exception as error:\n"
            "        times.append(time.perf_counter() - start)\nlen(times), sorted(times)[2]"
        )
        count, median = eval(timed.result["text/plain"])
        assert count == 5
        assert median < 0.3
        instead = book.run("%%funcx theta --fallback local\n'ran'")
        assert instead.outputs[0].data["text/plain"] == "theta is offline: running on local instead."
        assert instead.result["text/plain"] == "'ran'"
        late = book.run("%%funcx theta --wait-endpoint 0.5\n1")
        assert late.error[1] == "EndpointOffline: theta did not come online within 0.5 s. The cell was not run."
        late = book.run("%%funcx theta --wait-endpoint 0.5 --map n=range(3)\nn")
        assert late.error[1] == "EndpointOffline: theta did not come online within 0.5 s. The cell was not run."
        starter = threading.Timer(0.5, two.start_endpoint, ("theta",))
        starter.start()
        waited = book.run("%%funcx theta --wait-endpoint 60\n'ran there'")
        starter.join()
        assert waited.result["text/plain"] == "'ran there'"
        assert "theta · ✓ " in waited.header


def test_what_is_not_installed_is_found_before_the_cell_is_sent(fabric):
    with kernel(fabric.environment()) as book:
        book.run("%load_ext funcx_jupyter")
        book.run("%%funcx\n1")
        # Nodes tell what there is a moment after their start.
        eventually(lambda: fabric.client().get_endpoint_environment(fabric.endpoint_id), "it is known what there is")
        name, text = book.run("%%funcx\n\nimport numpyy").error
        assert name == "EnvironmentMismatch"
        assert "`numpyy` (line 3) is not installed on local. Available: numpy" in text
        assert (
            book.run("%%funcx\nimport numpy, IPython.display\nnumpy.ones(1).sum().item()").result["text/plain"] == "1.0"
        )
        assert book.run("%%funcx --env off\nimport numpyy").error[0] == "ModuleNotFoundError"
        assert " packages" in book.run("%funcx env").result["text/plain"]
        assert "has the very packages of this kernel" in book.run("%funcx env local --diff").result["text/plain"]
