"""What becomes of streams when the interpreter ends, and in a forked child."""

from __future__ import annotations

import atexit
import os
import threading
import time
import weakref
from functools import cache
from typing import Final, Protocol

EXIT_TIMEOUT: Final = 3.0
"""Seconds that streams have to send what is still unsent when the interpreter ends."""


class Stream(Protocol):
    """What has a thread and a connection of its own."""

    def close(self, timeout: float) -> None:
        """Send what is unsent within so many seconds, and end."""

    def forked(self) -> None:
        """This is a forked child."""


_open: weakref.WeakSet[Stream] = weakref.WeakSet()


def opened(stream: Stream) -> None:
    """See to it that what is submitted to it is sent before the interpreter ends."""
    _close_all_at_exit()
    _open.add(stream)


def closed(stream: Stream) -> None:
    """It needs nothing any more."""
    _open.discard(stream)


def _stay_with_the_parent() -> None:
    """In a forked child: the threads of all streams are in the parent, and so are their connections."""
    for stream in list(_open):
        stream.forked()
    _open.clear()


os.register_at_fork(after_in_child=_stay_with_the_parent)


def _close_at_exit() -> None:
    deadline = time.monotonic() + EXIT_TIMEOUT
    for stream in list(_open):
        stream.close(max(0.0, deadline - time.monotonic()))


@cache
def _close_all_at_exit() -> None:
    # `atexit` comes too late: the thread pool that looks up addresses has ended by then. `concurrent.futures` registers its
    # own end in the same place; what is registered after it is called before it.
    import concurrent.futures.thread  # noqa: F401, PLC0415 - registers first

    register = getattr(threading, "_register_atexit", atexit.register)
    try:
        register(_close_at_exit)
    except RuntimeError:
        raise RuntimeError(
            "The program is ending, and nothing can be submitted any more. Have the main thread join() the threads that submit."
        ) from None
