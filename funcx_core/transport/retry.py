"""How long to wait before the next try."""

from __future__ import annotations

import random


class Backoff:
    """Exponential back-off with full jitter (each wait is uniform between half of the first and the current ceiling).

    Full jitter spreads the reconnects of many clients best; see "Exponential Backoff And Jitter", AWS Architecture
    Blog, 2015.
    """

    def __init__(self, first: float, longest: float, rng: random.Random | None = None) -> None:
        self._first = first
        self._longest = longest
        self._rng = rng or random.Random()  # noqa: S311 - jitter, not a secret
        self._tries = 0

    def next(self) -> float:
        """Return the seconds to wait before the next try."""
        ceiling = min(self._longest, self._first * 2**self._tries)
        self._tries = min(self._tries + 1, 32)
        return self._rng.uniform(self._first / 2, ceiling)

    def reset(self) -> None:
        """A try succeeded: start again with short waits."""
        self._tries = 0
