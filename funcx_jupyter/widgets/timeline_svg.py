"""A timeline as a picture that needs no JavaScript: what a saved notebook shows. Pure.

Its colours are Okabe and Ito's, which everybody tells apart; state and phase are in the legend and in the titles of the bars as well.
"""

from __future__ import annotations

import html
from collections.abc import Iterator
from typing import Final

import msgspec

from funcx_core.protocol.task import TaskState
from funcx_jupyter.widgets.timeline_model import Bar, TimelineModel, describe
from funcx_jupyter.widgets.timeline_rows import Rows, rows_of

WIDTH: Final = 900
LEAST_LEFT: Final = 90
MOST_LEFT: Final = 280
"""Room for the names of rows."""
TOP: Final = 44
ROW: Final = 18
MOST_ROWS: Final = 60
COLOURS: Final = {
    "waiting": "#8c96a0",
    "success": "#0072b2",
    "running": "#009e73",
    "failed": "#d55e00",
    "cancelled": "#cc79a7",
    "transfer": "#e69f00",
}
"""Of the parts of a bar: waiting, on the way back, and running by how it ended."""
_STYLE: Final = (
    ".funcx-timeline text{font:11px sans-serif;fill:#333}.funcx-timeline .rule{stroke:#8886;stroke-width:1}"
    "@media(prefers-color-scheme:dark){.funcx-timeline text{fill:#ccc}}"
)
_STEPS: Final = (1, 2, 5)
_PER_CHARACTER: Final = 7
_FOR_LABEL: Final = 40


class Box(msgspec.Struct, frozen=True):
    """A rectangle of the picture; `title` says what it is."""

    row: int
    begin: float
    end: float
    kind: str
    title: str = ""


def boxes(model: TimelineModel, bars: list[Bar], rows: Rows, now: float) -> Iterator[Box]:
    """Yield what is drawn, in seconds: running and transfer of each bar that has run."""
    for bar, row, end in zip(bars, rows.of, rows.ends, strict=True):
        span = bar.run(now)
        if row < 0 or span is None:
            continue
        times = f"queue {span[0] - bar.at[0]:.3g} s, run {span[1] - span[0]:.3g} s"
        title = f"{model.title(bar)}: {bar.state.value}, {times}, {rows.names[row]}"
        yield Box(row, span[0], span[1], kind_of(bar.state), title)
        if end > span[1]:
            yield Box(row, span[1], end, "transfer", title)


def kind_of(state: TaskState) -> str:
    """Return the colour's name of a run."""
    return state.value if state.value in COLOURS else "running"


def as_svg(model: TimelineModel, now: float, *, width: int = WIDTH) -> str:
    """Return the picture: a row for each worker, up to `MOST_ROWS`; bars that are too small to be told apart are one."""
    bars = model.bars()
    rows = rows_of(model, bars, now)
    count = min(len(rows.names), MOST_ROWS)
    left = left_of(rows)
    begin = bars[0].at[0] if bars else now
    end = max((bar.edges(now)[-1] for bar in bars), default=begin + 1.0)
    scale = (width - left - 10) / max(end - begin, 1e-6)
    height = TOP + count * ROW + 28
    about = html.escape(describe(model, bars, now))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="funcx-timeline" role="img" viewBox="0 0 {width} {height}" width="{width}" height="{height}">',
        f"<title>{about}</title><style>{_STYLE}</style>",
        f'<text x="4" y="14">{about}</text>',
        *_legend(left),
        *_axis(end - begin, scale, left, TOP + count * ROW),
        *_names(rows, count, left, width),
    ]
    for box in merged([box for box in boxes(model, bars, rows, now) if box.row < count], 1 / scale):
        x, length = left + (box.begin - begin) * scale, max(1.0, (box.end - box.begin) * scale)
        parts.append(
            f'<rect x="{x:.1f}" y="{TOP + box.row * ROW + 2}" width="{length:.1f}" height="{ROW - 4}" fill="{COLOURS[box.kind]}">'
            f"<title>{html.escape(box.title)}</title></rect>"
        )
    if len(rows.names) > count:
        parts.append(f'<text x="4" y="{height - 4}">{len(rows.names) - count:,} rows more are not drawn.</text>')
    return "".join([*parts, "</svg>"])


def left_of(rows: Rows) -> int:
    """Return how much room the names take."""
    longest = max((len(group.name) for group in rows.groups), default=0)
    return max(LEAST_LEFT, min(MOST_LEFT, longest * _PER_CHARACTER + _FOR_LABEL))


def _names(rows: Rows, count: int, left: int, width: int) -> Iterator[str]:
    """Yield the name of each group at its first row, a line above it, and the label of each row."""
    most = (left - _FOR_LABEL) // _PER_CHARACTER
    for row, group in enumerate(rows.group_of()[:count]):
        y, title = TOP + row * ROW, f"<title>{html.escape(rows.names[row])}</title>"
        if group:
            yield f'<line class="rule" x1="4" x2="{width - 10}" y1="{y}" y2="{y}"/>'
            shown = group if len(group) <= most else f"{group[: most - 1]}…"
            yield f'<text x="4" y="{y + 13}">{html.escape(shown)}{title}</text>'
        yield f'<text x="{left - 6}" y="{y + 13}" text-anchor="end">{html.escape(rows.labels[row])}{title}</text>'


def merged(found: list[Box], least: float) -> Iterator[Box]:
    """Yield boxes, with neighbours of one kind that are less than `least` apart and as short as one."""
    found.sort(key=lambda box: (box.row, box.begin))
    held: Box | None = None
    count = 1
    for box in found:
        is_next = held is not None and (box.row, box.kind) == (held.row, held.kind)
        if held is not None and is_next and box.begin - held.end < least and box.end - box.begin < least:
            count += 1
            held = Box(held.row, held.begin, max(held.end, box.end), held.kind, f"{count:,} tasks: {box.kind}")
            continue
        if held is not None:
            yield held
        held, count = box, 1
    if held is not None:
        yield held


def ticks(seconds: float, most: int = 8) -> list[float]:
    """Return round numbers from 0 to `seconds`, at most so many steps."""
    raw = max(seconds, 1e-6) / most
    power = 1e-6
    while power * 10 <= raw:
        power *= 10
    step = next((factor * power for factor in _STEPS if factor * power >= raw), 10 * power)
    return [number * step for number in range(int(seconds / step) + 1)]


def _axis(seconds: float, scale: float, left: int, bottom: int) -> Iterator[str]:
    for tick in ticks(seconds):
        x = left + tick * scale
        yield f'<line class="rule" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{bottom}"/>'
        yield f'<text x="{x:.1f}" y="{bottom + 14}">{tick:g} s</text>'


def _legend(left: int) -> Iterator[str]:
    x = left
    for name, colour in COLOURS.items():
        if name == "waiting":
            continue
        yield f'<rect x="{x}" y="24" width="10" height="10" fill="{colour}"/><text x="{x + 14}" y="33">{name}</text>'
        x += 90
