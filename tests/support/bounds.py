"""Bounds in seconds that a row of the failure table states, on machines that have something else to do as well."""

from __future__ import annotations

import os
import time
from pathlib import Path

_SAMPLE = 0.05
_SLACK = 1.5


def check_bound(took: float, bound: float, what: str) -> None:
    """Fail if `took` seconds are more than `bound`, which counts for a machine that does nothing else.

    A machine that has more to run than processors is slower by that, and no slower.
    """
    if took > bound:
        allowed = bound * _SLACK * _crowding()
        assert took <= allowed, f"{what}: {took:.2f} s, not {bound:g} s (nor {allowed:.1f} s on this busy machine)"


def _crowding() -> float:
    """Return how many times longer than alone a process takes here: by the load of the last minute, and by a try."""
    began, spent = time.perf_counter(), time.process_time()
    while time.process_time() - spent < _SAMPLE:
        pass
    tried = (time.perf_counter() - began) / _SAMPLE
    load = float(Path("/proc/loadavg").read_text().split()[0]) / len(os.sched_getaffinity(0))
    return max(1.0, tried, load)
