"""The wall clocks of all processes jump, and nothing happens but that times are told wrong."""

from __future__ import annotations

import time

import pytest

from tests.support.chaos import Run
from tests.support.fabric import Fabric
from tests.support.seams import Seams

pytestmark = [pytest.mark.chaos, pytest.mark.xdist_group("chaos-clock")]

HOUR = 3600.0


def clock(_):
    import time

    return time.time()


def test_a_clock_that_jumps_by_an_hour_loses_nobody(tmp_path):
    """F32"""
    seams = Seams(tmp_path / "seams")
    with Fabric(tmp_path / "fabric", seams=seams.folder) as fabric, fabric.executor() as executor:
        processes = fabric.processes()
        run = Run(fabric, tmp_path, "t")
        for wrong_by in (HOUR, -HOUR, 0.0):
            run.submit(executor, 4, 0.6)  # Some run through the jump, some wait.
            time.sleep(0.3)
            seams.set_clock(wrong_by)
            assert executor.submit(clock, 0).result(20) == pytest.approx(time.time() + wrong_by, abs=60)
            until = time.monotonic() + 1.2 * fabric.threshold
            while time.monotonic() < until:
                assert fabric.is_online("local")
                time.sleep(0.1)
        assert run.judge(within=30).errors == {}
        assert fabric.processes() == processes, "nobody was given up"
        logs = fabric.logs()
    assert logs.count("registered with the service") == 1
    assert logs.count("enrolling") == 1
    for sign in ("is gone", "disconnected", "silent"):
        assert sign not in logs
