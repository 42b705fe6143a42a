"""Signing in by a short code that somebody types elsewhere (RFC 8628). Pure, but for the clock and the codes it makes.

Theory of operation. A client asks for a pair: a long *device code*, which it keeps and asks with, and a short *user code*, which it
shows. Whoever is signed in already types the user code on the page ``/device``, sees who asks, and approves or denies. The
client asks again and again with its device code: it hears "pending" until then, and the answer once. The pair ends with that
answer, or ten minutes after it was made. All of it is in memory: after a restart of the service the client asks for another pair.

Codes are looked up by their SHA-256, so the time that it takes tells nothing of codes that exist. A user code is short, so wrong
ones are counted by who typed them; there are 20**8 of them and only a few are open.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from hashlib import sha256
from typing import Final

import msgspec

from funcx_core.errors import RateLimited, SignInNotFound
from funcx_core.ids import UserId
from funcx_core.service.auth.base import Identity
from funcx_core.service.auth.scopes import Scope
from funcx_core.service.rates import Buckets

LIFETIME: Final = 600.0
INTERVAL: Final[float] = 2
"""Seconds that a client waits between two questions; 5 more each time that it does not."""
SLOWER: Final = 5.0
EARLY: Final = 0.2
"""Seconds that a question may come too soon: clocks and networks are not exact."""
MOST: Final = 1_000
MOST_BY_ADDRESS: Final = 20
WRONG_PER_MINUTE: Final = 10.0

ALPHABET: Final = "BCDFGHJKLMNPQRSTVWXZ"
"""No vowels, so no words; no digits, so nothing to mistake for a letter (RFC 8628, section 6.1)."""
_HALF: Final = 4


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What a client asks for.

    Attributes:
        label: what it says of itself; whoever approves reads it.
        address: where the request came from.
        scopes: the rights that it wants; None for all of whoever approves.
    """

    label: str
    address: str
    scopes: frozenset[Scope] | None = None


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """The two codes of one sign-in. Their texts are known this once."""

    device_code: str
    user_code: str


class Pending(msgspec.Struct, frozen=True):
    """Nobody has decided yet. `too_soon`: ask less often, every `interval` seconds at most."""

    interval: float
    too_soon: bool = False


class Denied(msgspec.Struct, frozen=True):
    """Somebody said no."""


class Gone(msgspec.Struct, frozen=True):
    """The code is not known: it is too old, its answer was told already, or the service started anew."""


class Approved(msgspec.Struct, frozen=True):
    """Somebody said yes: make a token of theirs, with these rights. This is told once."""

    by: Identity
    asked: Asked
    scopes: frozenset[Scope]


Answer = Pending | Denied | Approved | Gone


class _Open:
    """A pair that was given out."""

    def __init__(self, asked: Asked, user_key: bytes, until: float) -> None:
        self.asked = asked
        self.user_key = user_key
        self.until = until
        self.interval = INTERVAL
        self.may_ask_at = 0.0
        self.decision: Denied | Approved | None = None


class DeviceCodes:
    """The pairs that are open.

    Args:
        monotonic: gives seconds that never go back.
        device_code: makes a code that cannot be guessed.
        user_code: makes eight letters of `ALPHABET`.
    """

    def __init__(
        self,
        monotonic: Callable[[], float] = time.monotonic,
        *,
        device_code: Callable[[], str] = lambda: secrets.token_urlsafe(32),
        user_code: Callable[[], str] = lambda: "".join(secrets.choice(ALPHABET) for _ in range(2 * _HALF)),
    ) -> None:
        self._monotonic = monotonic
        self._device_code = device_code
        self._user_code = user_code
        self._open: dict[bytes, _Open] = {}
        self._by_user_code: dict[bytes, bytes] = {}
        self._wrong = Buckets(WRONG_PER_MINUTE / 60, WRONG_PER_MINUTE)

    def begin(self, asked: Asked) -> Pair:
        """Return a new pair.

        Raises:
            RateLimited: too many are open, of this address or of all.
        """
        now = self._monotonic()
        self._forget_old(now)
        of_address = sum(1 for each in self._open.values() if each.asked.address == asked.address)
        if len(self._open) >= MOST or of_address >= MOST_BY_ADDRESS:
            raise RateLimited("Too many sign-ins by a code are open. Use one of them, or wait.", retry_after=60.0)
        pair = Pair(device_code=self._device_code(), user_code=self._user_code())
        key, user_key = _digest(pair.device_code), _digest(pair.user_code)
        if user_key in self._by_user_code:
            return self.begin(asked)
        self._open[key] = _Open(asked, user_key, now + LIFETIME)
        self._by_user_code[user_key] = key
        return Pair(device_code=pair.device_code, user_code=shown(pair.user_code))

    def asked_with(self, user_code: str, by: UserId) -> tuple[Asked, float]:
        """Return what the client of a user code asks for, and for how many seconds the code is good.

        Raises:
            SignInNotFound: there is no such code, or it was decided already.
            RateLimited: this user typed too many wrong ones.
        """
        found = self._undecided(user_code, by)
        return found.asked, found.until - self._monotonic()

    def approve(self, user_code: str, by: Identity) -> frozenset[Scope]:
        """Let the client in as `by`; return the rights it gets: no more than those of the token that says so.

        Raises as `asked_with` does.
        """
        found = self._undecided(user_code, by.user.user_id)
        scopes = by.scopes if found.asked.scopes is None else found.asked.scopes & by.scopes
        found.decision = Approved(by, found.asked, scopes)
        return scopes

    def deny(self, user_code: str, by: UserId) -> None:
        """Send the client away. Raises as `asked_with` does."""
        self._undecided(user_code, by).decision = Denied()

    def ask(self, device_code: str) -> Answer:
        """Return what became of a pair; anything but `Pending` is its end."""
        now = self._monotonic()
        key = _digest(device_code)
        found = self._open.get(key)
        if found is None or found.until <= now:
            return Gone()
        if found.decision is not None:
            self._drop(key)
            return found.decision
        too_soon = now < found.may_ask_at - EARLY
        if too_soon:
            found.interval += SLOWER
        found.may_ask_at = now + found.interval
        return Pending(found.interval, too_soon)

    def _undecided(self, user_code: str, by: UserId) -> _Open:
        now = self._monotonic()
        wait = self._wrong.wait(by, now=now)
        if wait:
            raise RateLimited("You typed too many codes that are not known. Wait a moment.", retry_after=wait)
        found = self._open.get(self._by_user_code.get(_digest(plain(user_code)), b""))
        if found is None or found.until <= now or found.decision is not None:
            self._wrong.take(by, now=now)
            raise SignInNotFound(shown(plain(user_code)[: 2 * _HALF]))
        return found

    def _forget_old(self, now: float) -> None:
        for key in [key for key, each in self._open.items() if each.until <= now]:
            self._drop(key)

    def _drop(self, key: bytes) -> None:
        found = self._open.pop(key)
        self._by_user_code.pop(found.user_key, None)


def shown(user_code: str) -> str:
    """Return a user code as it is shown: ``WDJB-MJHT``."""
    return f"{user_code[:_HALF]}-{user_code[_HALF:]}"


def plain(typed: str) -> str:
    """Return what somebody typed without what does not count: case, spaces, the dash."""
    return "".join(letter for letter in typed.upper()[:100] if letter.isalnum())


def _digest(code: str) -> bytes:
    return sha256(code.encode(errors="surrogatepass")).digest()
