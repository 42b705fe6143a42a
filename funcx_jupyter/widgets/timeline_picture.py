"""A timeline as a picture of matplotlib's: PNG, PDF and what else it writes."""

from __future__ import annotations

from pathlib import Path

from funcx_core.errors import MissingPackage
from funcx_jupyter.widgets.timeline_model import TimelineModel, describe
from funcx_jupyter.widgets.timeline_rows import rows_of
from funcx_jupyter.widgets.timeline_svg import COLOURS, MOST_ROWS, boxes


def save_picture(model: TimelineModel, now: float, path: Path) -> None:
    """Write the picture; the name says the format.

    Raises:
        MissingPackage: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415 - optional, and slow to import
    except ModuleNotFoundError:
        raise MissingPackage(
            "matplotlib", f"{path.suffix or 'That format'} is drawn by matplotlib.", "Or save it as .svg."
        ) from None
    bars = model.bars()
    rows = rows_of(model, bars, now)
    groups = rows.group_of()[:MOST_ROWS]
    names = [f"{group}  {label}".strip() for group, label in zip(groups, rows.labels, strict=False)]
    begin = bars[0].at[0] if bars else now
    figure = Figure(figsize=(9, 1.2 + 0.2 * max(1, len(names))), layout="constrained")
    axes = figure.subplots()
    parts: dict[tuple[int, str], list[tuple[float, float]]] = {}
    for box in boxes(model, bars, rows, now):
        if box.row < len(names):
            parts.setdefault((box.row, box.kind), []).append((box.begin - begin, box.end - box.begin))
    seen: set[str] = set()
    for (row, kind), spans in parts.items():
        axes.broken_barh(spans, (row - 0.4, 0.8), facecolors=COLOURS[kind], label=None if kind in seen else kind)
        seen.add(kind)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_xlabel("seconds")
    axes.set_title(describe(model, bars, now), fontsize="medium", loc="left")
    if seen:
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=5, frameon=False)
    figure.savefig(path, dpi=150)
