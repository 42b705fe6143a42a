"""How long a function's tasks take here, from a moving average of what was seen."""

from __future__ import annotations

from typing import Final

from funcx_core.ids import FunctionId

WEIGHT: Final = 0.4
"""Of the newest sample. A function that turns slow is noticed after two or three tasks."""
_MOST: Final = 4096


class Pace:
    """Expected seconds per task of each function. The time of one is what it kept its worker busy, overhead included.

    Attributes:
        longest: seconds of the longest task so far (or of the longest mean of several).
    """

    def __init__(self) -> None:
        self._seconds: dict[FunctionId, float] = {}
        self.longest = 0.0

    def expected(self, function_id: FunctionId) -> float | None:
        """Return the expected seconds of one task; None for a function that never ran here."""
        return self._seconds.get(function_id)

    def observe(self, function_id: FunctionId, seconds: float) -> None:
        """One task (or several, of this mean) took so long."""
        self.longest = max(self.longest, seconds)
        known = self._seconds.get(function_id)
        if known is None:
            if len(self._seconds) >= _MOST:
                self._seconds.clear()  # An endpoint with so many functions learns them again.
            self._seconds[function_id] = seconds
        else:
            self._seconds[function_id] = known + WEIGHT * (seconds - known)
