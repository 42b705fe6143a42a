"""Bars in characters."""

from __future__ import annotations

from typing import Final

from funcx_core.protocol.progress import Bar, BarState, Progress

CELLS: Final = 10
"""Characters of the bar itself."""
_EIGHTHS: Final = " ▏▎▍▌▋▊▉"
GLYPHS: Final = {BarState.DONE: "✓", BarState.STOPPED: "✗"}
STATES: Final = {BarState.OPEN: "", BarState.DONE: "done", BarState.STOPPED: "stopped"}


def line(bar: Bar) -> str:
    """Return a bar as one line: ``fit:  60%|██████    | 120/200 [00:07<00:05, 17.0it/s]``, with ✓ or ✗ when it has ended."""
    about = f"{bar.description}: " if bar.description else ""
    fraction = bar.fraction
    drawn = "" if fraction is None else f"{int(fraction * 100):3d}%|{_drawn(fraction)}| "
    mark = f" {GLYPHS[bar.state]}" if bar.state in GLYPHS else ""
    return f"{about}{drawn}{numbers(bar)}{mark}"


def lines(progress: Progress) -> list[str]:
    """Return all bars, a line each; how many are left out comes first."""
    left_out = [more(progress)] if progress.more else []
    return [*left_out, *map(line, progress.bars)]


def more(progress: Progress) -> str:
    """Return how many bars are left out, in words."""
    return f"… {progress.more:,} more bars".replace(",", " ") if progress.more != 1 else "… 1 more bar"


def open_line(progress: Progress, width: int) -> str:
    """Return what fits of all open bars into one line of so many characters."""
    told = " · ".join(line(bar) for bar in progress.bars if bar.state is BarState.OPEN)
    return told if len(told) <= width else f"{told[: max(0, width - 1)]}…"


def numbers(bar: Bar) -> str:
    """Return counts, times and rate: ``120/200 [00:07<00:05, 17.0it/s]``."""
    counts = f"{_number(bar.n, bar.scale)}{_of(bar)}"
    rate = "?" if bar.rate is None else _rate(bar)
    behind = f", {bar.postfix}" if bar.postfix else ""
    left = remaining(bar)
    to_go = "" if bar.total is None else f"<{'?' if left is None else clock(left)}"
    return f"{counts} [{clock(bar.elapsed)}{to_go}, {rate}{behind}]"


def remaining(bar: Bar) -> float | None:
    """Return seconds that are left; None if nobody knows."""
    if bar.total is None or not bar.rate:
        return None
    return max(0.0, (bar.total - bar.n) / bar.rate)


def clock(seconds: float) -> str:
    """Return a time that is still running: ``00:12``, ``1:02:03``."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes:02d}:{rest:02d}"


def _of(bar: Bar) -> str:
    return bar.unit if bar.total is None else f"/{_number(bar.total, bar.scale)}"


def _rate(bar: Bar) -> str:
    rate = bar.rate or 0.0
    if 0 < rate < 1:
        return f"{1 / rate:.2f}s/{bar.unit}"
    return f"{_number(rate, bar.scale) if bar.scale else f'{rate:.2f}'}{bar.unit}/s"


def _number(number: float, scale: int) -> str:
    if not scale:
        return f"{number:.10g}" if isinstance(number, float) else str(number)
    for unit in ("", "k", "M", "G", "T", "P"):
        if abs(number) < scale - 0.5 or unit == "P":
            return f"{number:.0f}{unit}" if not unit else f"{number:.3g}{unit}"
        number /= scale
    raise AssertionError


def _drawn(fraction: float) -> str:
    whole, eighths = divmod(int(fraction * CELLS * 8), 8)
    return ("█" * whole + (_EIGHTHS[eighths] if whole < CELLS else "")).ljust(CELLS)
