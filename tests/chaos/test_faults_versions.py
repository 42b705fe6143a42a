"""Parts of a fabric that are of other versions: what cannot work together says so with both versions, and the rest goes on."""

from __future__ import annotations

import logging
import sys

import pytest

from tests.support.bounds import check_bound
from tests.support.fabric import ENDPOINT_CONFIG, Fabric, eventually

pytestmark = [pytest.mark.chaos, pytest.mark.xdist_group("chaos-versions")]

OTHER_PYTHON = """\
import platform, sys
platform.python_version = lambda: "9.9.0"
from funcx_endpoint.manager.command import main
main(["--settings", sys.argv[1], "--block-id", sys.argv[2]])
"""
"""A manager that says so: a Python 9.9 could not be had."""

AGENT_SAYS = """
import platform
platform.python_version = lambda: "3.5.2"
"""


def double(number):
    return 2 * number


def test_a_manager_of_another_python_is_refused_and_others_live(new_fabric, tmp_path, caplog):
    """F35"""
    script = tmp_path / "funcx_endpoint.manager.other.py"
    script.write_text(OTHER_PYTHON)
    fabric: Fabric = new_fabric()
    launch = f'launch_cmd="{sys.executable} {script} {{settings}} {{block_id}}",'
    text = ENDPOINT_CONFIG.format(workers=2, period=0.3, threshold=1.0)
    fabric.configure_endpoint("other", text.replace("Executor(\n", f"Executor(\n            {launch}\n", 1))
    fabric.endpoint_names = ("local", "other")
    done = fabric.endpoint_cli("start", "other", check=False)
    assert done.returncode == 1
    words = f"runs Python 9.9.0, the agent {sys.version.split()[0]}. Activate an environment of the same Python"
    assert words in done.stderr
    assert words in fabric.endpoint_cli("status", "other").stdout
    with fabric.executor("local") as executor:
        assert executor.submit(double, 4).result(20) == 8, "another endpoint of the same service"


def test_who_submits_to_an_endpoint_of_another_version_is_told_both(new_fabric, caplog):
    """F35"""
    import time

    fabric: Fabric = new_fabric(endpoints=())
    text = ENDPOINT_CONFIG.format(workers=2, period=0.3, threshold=1.0)
    fabric.configure_endpoint("old", text + AGENT_SAYS)
    fabric.endpoint_names = ("old",)
    fabric.start_endpoint("old")
    began = time.monotonic()
    with caplog.at_level(logging.WARNING, "funcx"), fabric.executor() as executor:
        assert executor.submit(double, 4).result(20) == 8, "which is no reason not to try"
        eventually(lambda: "Python 3.5.2, this is Python" in caplog.text, "a warning", timeout=30)
        check_bound(time.monotonic() - began, 10, "the warning")
    assert caplog.text.count("3.5.2") == 1
