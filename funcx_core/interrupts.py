"""Ctrl-C on a command line: until a command has begun there is nothing to put right, so the process just ends.

Most of a short command's time goes into imports. An interrupt there would be an exception in the middle of somebody's module,
and a traceback; the usual end of a process by SIGINT is what shells and their users expect (they see 130).
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager


def end_the_process() -> None:
    """Let SIGINT end this process at once and in silence, unless somebody decided about it already (nohup does)."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextmanager
def raised() -> Iterator[None]:
    """Let SIGINT be a `KeyboardInterrupt` within, where it would have ended the process."""
    ends_it = signal.getsignal(signal.SIGINT) is signal.SIG_DFL
    if ends_it:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        if ends_it:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
