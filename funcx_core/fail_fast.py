"""A thread that dies ends its process: half of a process answers to nobody, and nobody starts it again."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Callable
from typing import Any, Final

CRASH_EXIT: Final = 70
"""Exit code after a fault of our own; whoever supervises a process starts it again then."""

_log = logging.getLogger(__name__)


def end_with_threads(last_words: Callable[[str], None] = lambda _: None) -> None:
    """From now on the first thread of this process that ends by an exception ends it, with exit code 70 and a line in its log.

    Everything acknowledged is on disk, so ending at once loses nothing. Not for processes that run code of users.

    Args:
        last_words: told what happened, on the thread that died, before the process ends. It must not wait for other threads.
    """

    def end(thread: str, error: BaseException | None) -> None:
        _end(f"the thread {thread}", error, last_words)

    def hook(arguments: threading.ExceptHookArgs) -> None:
        if arguments.exc_type is not SystemExit:
            end(arguments.thread.name if arguments.thread else "of no name", arguments.exc_value)

    threading.excepthook = hook
    # A pool swallows what ends one of its threads and goes on without it: what it was given to do then waits for ever.
    pools = logging.getLogger("concurrent.futures")
    for known in [handler for handler in pools.handlers if isinstance(handler, _PoolDeaths)]:
        pools.removeHandler(known)
    pools.addHandler(_PoolDeaths(end))


def end_with_callbacks(loop: asyncio.AbstractEventLoop, last_words: Callable[[str], None] = lambda _: None) -> None:
    """From now on a callback of this loop that raises ends the process as the death of a thread does.

    What the callback had still to do is done by nobody: messages that it was given, half of a decision.
    """

    def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if "handle" in context and isinstance(error, Exception):
            _end("a part of the event loop", error, last_words)
        loop.default_exception_handler(context)

    loop.set_exception_handler(handle)


def _end(what: str, error: BaseException | None, last_words: Callable[[str], None]) -> None:
    _log.critical("%s died, and its process ends with it", what, exc_info=error)
    last_words(f"internal error: {what} died of {type(error).__name__}: {error}")
    logging.shutdown()
    os._exit(CRASH_EXIT)


class _PoolDeaths(logging.Handler):
    """Hears `concurrent.futures` say that a thread of a pool has died, which it logs as critical and nothing else is."""

    def __init__(self, end: Callable[[str, BaseException | None], None]) -> None:
        super().__init__(logging.CRITICAL)
        self._end = end

    def emit(self, record: logging.LogRecord) -> None:
        """End the process."""
        if record.exc_info:
            self._end(record.threadName or "of a pool", record.exc_info[1])
