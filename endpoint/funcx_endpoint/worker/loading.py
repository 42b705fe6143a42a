"""A bound on how long a function may take to load: an import may wait for ever, and hold the interpreter meanwhile.

The watchdog is a thread of C code that needs neither the interpreter nor a working import system. It writes the stacks of
all threads to stderr and ends the process; the manager sees by the page that a function was loading, and for how long.
"""

from __future__ import annotations

import faulthandler
import time
from types import TracebackType

from funcx_endpoint.worker.page import LOADING, Page


class LoadGuard:
    """A context in which a function is loaded. `timeout`: seconds."""

    def __init__(self, page: Page, timeout: float) -> None:
        self._numbers = page.numbers
        self._numbers[LOADING] = 0
        self._timeout = timeout

    def __enter__(self) -> None:
        self._numbers[LOADING] = time.monotonic_ns()
        faulthandler.dump_traceback_later(self._timeout, exit=True, file=2)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        faulthandler.cancel_dump_traceback_later()
        self._numbers[LOADING] = 0
