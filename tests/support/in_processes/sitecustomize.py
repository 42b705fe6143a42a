"""Seams for tests in every Python process of a fabric; Python imports this at its start because the folder is in PYTHONPATH.

In the folder that the variable `TEST_SEAMS` names:

- ``clock`` has seconds by which wall clocks are wrong (monotonic ones are not). It is read anew at each look at the clock.
- ``die-PID`` has the beginning of a thread's name. A process that gets `SIGNAL` raises `InjectedFault` in all threads of such a name,
  wherever they are, as soon as they run Python code again, and writes their names to ``died-PID``. If it has nothing, the names
  of all threads are written to ``threads-PID`` instead.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time

SIGNAL = signal.SIGRTMIN + 5
_FOLDER = os.environ.get("TEST_SEAMS", "")


class InjectedFault(Exception):
    """What a test made happen."""


def _wrong_by() -> float:
    try:
        handle = os.open(f"{_FOLDER}/clock", os.O_RDONLY)
    except OSError:
        return 0.0
    try:
        return float(os.read(handle, 64) or 0)
    finally:
        os.close(handle)


def _set_wrong(true_time=time.time, true_time_ns=time.time_ns) -> None:
    time.time = lambda: true_time() + _wrong_by()
    time.time_ns = lambda: true_time_ns() + int(_wrong_by() * 1e9)


def _at_signal(number: int, frame: object) -> None:
    with open(f"{_FOLDER}/die-{os.getpid()}", encoding="utf-8") as file:  # noqa: PTH123 - pathlib would cost every process its import
        name = file.read()
    if name:
        _kill_thread(name)
    else:
        _write("threads", sorted(thread.name for thread in threading.enumerate()))


def _kill_thread(name: str) -> None:
    for thread in threading.enumerate():
        if thread.name.startswith(name) and thread.ident is not None:
            _write("died", [thread.name])
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(InjectedFault))
            _wake(thread)


def _wake(thread: threading.Thread) -> None:
    """A thread of a pool that waits for work sees the exception when it gets some; None is no work."""
    pools = sys.modules.get("concurrent.futures.thread")
    works = getattr(pools, "_threads_queues", {}).get(thread)
    if works is not None:
        works.put(None)


def _write(what: str, names: list[str]) -> None:
    with open(f"{_FOLDER}/{what}-{os.getpid()}", "a", encoding="utf-8") as file:  # noqa: PTH123 - see above
        file.writelines(f"{name}\n" for name in names)


if _FOLDER:
    _set_wrong()
    signal.signal(SIGNAL, _at_signal)
