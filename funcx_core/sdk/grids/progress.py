"""How far a grid is, in one line. Pure."""

from __future__ import annotations

from collections import Counter
from typing import Final

from funcx_core.sdk.grids.outcomes import PointState

_BLOCKS: Final = " ▏▎▍▌▋▊▉█"
_WIDTH: Final = 20
_MINUTE: Final = 60
_HOUR: Final = 3600
_TOLD: Final = (PointState.FAILED, PointState.CANCELLED, PointState.LOST)


def bar(share: float, width: int = _WIDTH) -> str:
    """Return a bar of characters, full to this share."""
    eighths = round(max(0.0, min(1.0, share)) * width * 8)
    whole, part = divmod(eighths, 8)
    return (_BLOCKS[8] * whole + (_BLOCKS[part] if part else "")).ljust(width)


def clock(seconds: float) -> str:
    """Return a time as ``12:05`` or ``3:12:05``."""
    whole = max(0, round(seconds))
    hours, minutes, left = whole // _HOUR, whole % _HOUR // _MINUTE, whole % _MINUTE
    return f"{hours}:{minutes:02}:{left:02}" if hours else f"{minutes:02}:{left:02}"


def ended(counts: Counter[PointState]) -> int:
    """Return of how many points nothing is to come."""
    return sum(count for state, count in counts.items() if not state.is_open)


def line(name: str, counts: Counter[PointState], *, elapsed: float, before: int = 0) -> str:
    """Return ``study  62%|████████▎    | 62/100 [00:12<00:07, 5.2/s] 3 failed``.

    Args:
        name: of the grid.
        counts: points by state.
        elapsed: seconds for which it has been watched.
        before: points that had ended by then, which say nothing about the speed.
    """
    size, done = counts.total(), ended(counts)
    speed = (done - before) / elapsed if elapsed > 0 else 0.0
    left = clock((size - done) / speed) if speed else "?"
    pace = f"{speed:,.1f}/s" if speed < 100 else f"{speed:,.0f}/s"  # noqa: PLR2004 - a decimal says nothing there
    told = ", ".join(f"{counts[state]:,} {state}" for state in _TOLD if counts[state])
    share = done / size if size else 1.0
    text = f"{share:4.0%}|{bar(share)}| {done:,}/{size:,} [{clock(elapsed)}<{left}, {pace}] {told}"
    return f"{name}  {text}".strip()
