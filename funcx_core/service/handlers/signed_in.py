"""Connections that last: they end with the token that opened them, also if nothing is asked on them any more."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

from funcx_core.errors import AuthRequired, FuncxError
from funcx_core.service.auth.base import Identity

LOOK_EVERY: Final = 15.0
"""Seconds between two looks at what may have been revoked. What is asked on the connection meanwhile is checked at once."""
_SHORTEST: Final = 0.05


def end_when_signed_out(
    authenticate: Callable[[], Awaitable[Identity]], end: Callable[[AuthRequired], None]
) -> asyncio.Task[None]:
    """Return a task that calls `end` when `authenticate` does not know the token any more; cancel it with the connection."""
    return asyncio.get_running_loop().create_task(_look(authenticate, end))


async def _look(authenticate: Callable[[], Awaitable[Identity]], end: Callable[[AuthRequired], None]) -> None:
    pause = 0.0
    while True:
        await asyncio.sleep(pause)
        try:
            pause = _pause(await authenticate(), now=time.time())
        except AuthRequired as error:
            end(error)
            return
        except FuncxError:
            pause = LOOK_EVERY  # Whoever knows does not answer: that is no reason to send somebody away.


def _pause(identity: Identity, *, now: float) -> float:
    """Return the seconds until the next look: until it expires, if that is soon."""
    if identity.expires_at is None:
        return LOOK_EVERY
    return max(_SHORTEST, min(LOOK_EVERY, identity.expires_at - now))
