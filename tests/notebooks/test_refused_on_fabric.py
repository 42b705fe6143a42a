"""Results that the service has no room for: nothing is lost, in a real kernel and with an executor, against a real fabric."""

from __future__ import annotations

import pytest

from funcx import errors
from tests.notebooks.kernels import kernel
from tests.support.fabric import eventually

pytestmark = pytest.mark.xdist_group("refused")

DEFINITIONS = (
    "class Box:\n    def __init__(self, content):\n        self.content = content\ndef twice(x):\n    return 2 * x"
)


def value(notebook, source):
    return notebook.run(source).result["text/plain"]


def told(cell, word):
    return next(
        output.data["text/plain"] for output in cell.outputs if word in output.get("data", {}).get("text/plain", "")
    )


def large(size):
    return bytes(size)


def first_of(task_id):
    from funcx_endpoint import kept_result

    value = kept_result(task_id)
    return len(value), value[:3]


@pytest.fixture
def small_service(new_fabric, tmp_path):
    """A fabric whose users may have 1 MB of large values: (fabric, settings file)."""
    settings = tmp_path / "service.toml"
    settings.write_text("[limits]\nmax_blob_bytes = 1_000_000\n")
    return new_fabric(service_flags=("--config", str(settings))), settings


def stays_for_other_functions_of_its_user(fabric):
    with fabric.executor() as executor:
        future = executor.submit(large, 11_000_000)
        with pytest.raises(
            errors.ResultTooLarge, match="1,000,000 bytes of large values are allowed per user"
        ) as caught:
            future.result(60)
        assert f"kept_result('{future.task_id}')" in str(caught.value)
        assert caught.value.details["kept"] is True
        assert executor.submit(first_of, future.task_id).result(30) == (11_000_000, b"\0\0\0")
        return future.task_id


def test_a_value_that_the_service_refuses_stays_on_the_endpoint(small_service, tmp_path):
    """F30"""
    fabric, settings = small_service
    task_id = stays_for_other_functions_of_its_user(fabric)
    env = {**fabric.environment(), "JPY_SESSION_NAME": str(tmp_path / "book.ipynb")}
    with kernel(env) as notebook:
        notebook.run("%load_ext funcx_jupyter")
        notebook.run(DEFINITIONS)
        cell = notebook.run("%%funcx -o y,z,box\ny, z = bytes(20_000_000), twice(2)\nbox = Box(bytes(11_000_000))\nz")
        assert "· ✓ " in cell.header
        assert "y 20 MB (on local)" in cell.header
        line = told(cell, "Kept on")
        assert line.startswith("y is 20 MB, and the service does not take it: ")
        assert "1,000,000 bytes of large values are allowed per user" in line
        assert "Kept on local for 24 h: `y = %funcx fetch " in line
        assert cell.result["text/plain"] == "4"
        assert value(notebook, "type(y).__name__, len(y), z.get()") == "('RemoteRef', 20000000, 4)"
        assert value(notebook, "%%funcx\nlen(y), type(box).__name__, len(box.content)") == "(20000000, 'Box', 11000000)"
        fetch = line.partition("`")[2].partition("`")[0]
        name, text = notebook.run(fetch).error
        assert name == "ResultTooLarge"
        assert "`y` stays on local: it is 20 MB, and the service does not take it. " in text
        settings.write_text("")
        fabric.stop_service()
        fabric.start_service()
        eventually(lambda: fabric.is_online("local"), "the endpoint registers again", timeout=30)
        assert value(notebook, f"{fetch}\nlen(y)") == "20000000"
        assert value(notebook, f"x = %funcx fetch {task_id}._\nlen(x)") == "11000000"
        assert value(notebook, "box.pin()\ntype(box.get()) is Box") == "True"
