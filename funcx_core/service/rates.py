"""How fast requests may come: token buckets, by bearer token and by the address of whoever fails to show one.

Theory of operation. A bucket fills by `per_second` up to `burst`, and each request takes one out. A bucket that is full again says
nothing, so it is forgotten: memory is bounded by who was active lately. Whoever shows unknown tokens too often is told to
wait before another one is looked up; tokens of that address that were good lately still are.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from funcx_core.errors import RateLimited
from funcx_core.service.config import RateConfig

MOST_KEYS: Final = 10_000
GOOD_SECONDS: Final = 3600.0


class Buckets:
    """One bucket for each key. Pure: the time, in seconds that never go back, is an argument.

    Args:
        per_second: how fast a bucket fills; 0 for no limit at all.
        burst: how much it holds.
    """

    def __init__(self, per_second: float, burst: float) -> None:
        self._per_second = per_second
        self._burst = max(1.0, burst)
        self._levels: dict[str, tuple[float, float]] = {}

    def take(self, key: str, *, now: float) -> float:
        """Take one out of the bucket; return 0, or the seconds until there is one to take."""
        wait = self.wait(key, now=now)
        if self._per_second and not wait:
            self._levels[key] = (self._level(key, now) - 1, now)
            if len(self._levels) > MOST_KEYS:
                self._forget_full(now)
        return wait

    def wait(self, key: str, *, now: float) -> float:
        """Return the seconds until there is one to take, and take none."""
        if not self._per_second:
            return 0.0
        missing = 1 - self._level(key, now)
        return max(0.0, missing / self._per_second)

    def _level(self, key: str, now: float) -> float:
        level, at = self._levels.get(key, (self._burst, now))
        return min(self._burst, level + (now - at) * self._per_second)

    def _forget_full(self, now: float) -> None:
        levels = {key: self._level(key, now) for key in self._levels}
        self._levels = {key: (level, now) for key, level in levels.items() if level < self._burst}
        while len(self._levels) > MOST_KEYS:  # Everybody is busy: the one heard first starts anew.
            del self._levels[next(iter(self._levels))]


class Rates:
    """The limits of a service, with the clock."""

    def __init__(self, config: RateConfig, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._good: dict[str, float] = {}
        self.refused = 0
        self.change(config)

    def change(self, config: RateConfig) -> None:
        """Take other limits; all buckets are full again."""
        self._requests = Buckets(config.per_second, config.burst)
        self._failures = Buckets(config.failures_per_minute / 60, config.failures_per_minute)
        self.limits_requests = config.per_second > 0

    def request(self, token_key: str) -> None:
        """Count a request with this token.

        Raises:
            RateLimited: there were too many.
        """
        if not self.limits_requests:
            return
        wait = self._requests.take(token_key, now=self._monotonic())
        if wait:
            self.refused += 1
            raise RateLimited("You send requests faster than this service allows. Wait a moment.", retry_after=wait)

    def check_address(self, address: str, token_key: str) -> None:
        """Raise `RateLimited` if too many unknown tokens came from this address lately, unless this one was good."""
        now = self._monotonic()
        wait = self._failures.wait(address, now=now)
        if wait and self._good.get(token_key, -GOOD_SECONDS) <= now - GOOD_SECONDS:
            self.refused += 1
            raise RateLimited(
                "Too many requests with unknown tokens came from your address. Correct the token, and wait a moment.",
                retry_after=wait,
            )

    def failed(self, address: str) -> None:
        """A token from this address was not known."""
        self._failures.take(address, now=self._monotonic())

    def succeeded(self, token_key: str) -> None:
        """This token was good."""
        if len(self._good) >= MOST_KEYS:
            self._good.clear()
        self._good[token_key] = self._monotonic()
