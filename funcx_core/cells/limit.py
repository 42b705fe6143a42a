"""A time limit for code that runs in this thread."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class _TimeIsUp(BaseException):
    """Raised in the code. It is no `Exception`, so that `except Exception` in a loop does not swallow it."""


@contextmanager
def limited(seconds: float | None) -> Iterator[None]:
    """Within this, no more than so many seconds pass. Only the main thread of a process can be stopped so; in others there is no limit.

    Raises:
        TimeoutError: they did.
    """
    if seconds is None or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGALRM, _time_is_up)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    except _TimeIsUp:
        raise TimeoutError(f"Stopped after {seconds:g} s (-t {seconds:g}).") from None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _time_is_up(_number: int, _frame: FrameType | None) -> None:
    raise _TimeIsUp
