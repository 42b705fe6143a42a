"""One-time codes: a link that is opened within a minute signs a browser in, and no token is ever in an address."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from hashlib import sha256
from typing import Final

from funcx_core.errors import AuthRequired
from funcx_core.service.store.records import User

LIFETIME: Final = 60.0
MOST: Final = 1_000


class LoginCodes:
    """Codes that were given out and not used. Only their SHA-256 is kept, and only in memory."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._open: dict[bytes, tuple[float, User]] = {}

    def make(self, user: User) -> str:
        """Return a code for `user`, good for one use within `LIFETIME` seconds."""
        now = self._monotonic()
        self._open = {key: each for key, each in self._open.items() if each[0] > now}
        while len(self._open) >= MOST:
            del self._open[next(iter(self._open))]
        code = secrets.token_urlsafe(24)
        self._open[_digest(code)] = (now + LIFETIME, user)
        return code

    def use(self, code: str) -> User:
        """Return whose code this is; it is worthless from now on.

        Raises:
            AuthRequired: it is not known, was used, or is too old.
        """
        until, user = self._open.pop(_digest(code), (0.0, None))
        if user is None or until <= self._monotonic():
            raise AuthRequired("This link was used before or is too old. `funcx open` makes another one.")
        return user


def _digest(code: str) -> bytes:
    # Looked up by a hash, so the time that it takes tells nothing of codes that exist.
    return sha256(code.encode(errors="surrogatepass")).digest()
