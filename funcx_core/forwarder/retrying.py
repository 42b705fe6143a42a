"""Asking the store until it answers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from funcx_core.errors import TryAgainLater
from funcx_core.forwarder.counters import Counters
from funcx_core.transport.retry import Backoff

FIRST_WAIT: Final = 0.05
LONGEST_WAIT: Final = 2.0

_log = logging.getLogger(__name__)
T = TypeVar("T")


async def until_answered(ask: Callable[[], Awaitable[T]], counters: Counters) -> T:
    """Return what `ask` returns; as long as it raises `TryAgainLater`, wait a little longer each time and ask again."""
    backoff = Backoff(FIRST_WAIT, LONGEST_WAIT)
    failed = False
    while True:
        try:
            answer = await ask()
        except TryAgainLater as error:
            counters.commit_failures += 1
            if not failed:
                _log.warning("The store does not answer: %s It is asked again until it does.", error)
            failed = True
            await asyncio.sleep(backoff.next())
        else:
            if failed:
                _log.warning("The store answers again.")
            return answer
