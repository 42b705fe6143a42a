"""A `MonitorModel` as text and as HTML. Pure."""

from __future__ import annotations

from typing import Final

from funcx_jupyter.display import words
from funcx_jupyter.widgets import markup
from funcx_jupyter.widgets.monitor_model import OUTAGE_WORDS, MonitorModel
from funcx_jupyter.widgets.plain import columns, shortened
from funcx_jupyter.widgets.task_rows import TaskRow

HEADING: Final = ("state", "time", "task", "what", "endpoint", "failure")
GRID: Final = (
    "minmax(0, 1.3fr) minmax(3em, 0.5fr) minmax(2.6em, 0.4fr) minmax(0, 1.3fr) minmax(0, 0.7fr) minmax(0, 1.3fr)"
)
FROZEN_ROWS: Final = 500
"""Rows of a frozen table: more would only make the notebook large; the line above says how many there were."""
_TEXT_ROWS: Final = 50
_TITLE: Final = 40
_MESSAGE: Final = 60
_COLOURS: Final = {
    "waiting": markup.REST,
    "running": markup.BUSY,
    "done": markup.GOOD,
    "failed": markup.BAD,
    "stopped": markup.WARN,
}


def as_text(model: MonitorModel, now: float) -> str:
    """Return everything as text: counts, failures, the first rows that are asked for."""
    lines = [f"Tasks: {model.summary()}"]
    if model.outage:
        lines.append(f"{model.outage} {OUTAGE_WORDS}")
    lines += [line for line in (model.durations(now),) if line]
    lines += [f"{group.count:,} failed by {failure_line(group.failure, group.message)}" for group in model.failures()]
    rows = model.matching(now)
    if rows:
        lines += columns(HEADING, [_cells(row, now) for row in rows[:_TEXT_ROWS]])
    if len(rows) > _TEXT_ROWS:
        lines.append(f"… {len(rows) - _TEXT_ROWS:,} more")
    return "\n".join(lines)


def as_html(model: MonitorModel, now: float) -> str:
    """Return everything as HTML that needs neither widgets nor scripts."""
    rows = model.matching(now)
    left_out = f", the first {FROZEN_ROWS:,} of {len(rows):,}" if len(rows) > FROZEN_ROWS else ""
    caption = f"Tasks as of {words.moment(now)}{left_out}"
    body = markup.table(HEADING, [html_cells(row, now) for row in rows[:FROZEN_ROWS]], caption) if rows else ""
    return markup.block(head(model, now), failures(model), body)


def head(model: MonitorModel, now: float) -> str:
    """Return what stands above the table: counts as a bar and in words, the outage if there is one, run times."""
    bar = [(f"{count:,} {name}", float(count), _COLOURS[name]) for name, count in model.counts().items()]
    parts = [markup.paragraph(model.summary(), style="font-weight: 600", role="status")]
    parts.append(markup.shares(bar, model.summary()))
    if model.outage:
        parts.append(markup.paragraph(f"⚠ {model.outage} {OUTAGE_WORDS}", style=f"color: {markup.WARN}", role="alert"))
    if durations := model.durations(now):
        parts.append(markup.paragraph(durations, style=markup.MUTED))
    return "".join(parts)


def failures(model: MonitorModel) -> str:
    """Return the failures by kind, to be opened; nothing if nothing failed."""
    groups = model.failures()
    if not groups:
        return ""
    rows = [
        [
            markup.text(f"{group.count:,}"),
            markup.text(group.failure, bold=True),
            markup.text(group.message),
            markup.text(", ".join(words.short_id(task_id) for task_id in group.examples)),
        ]
        for group in groups
    ]
    count = sum(group.count for group in groups)
    said = f"{count:,} failed in {len(groups):,} way{'' if len(groups) == 1 else 's'}"
    return markup.details(said, markup.table(("count", "failure", "message", "tasks"), rows))


def html_cells(row: TaskRow, now: float) -> list[str]:
    """Return the cells of a row as HTML."""
    state, duration, task, title, endpoint, failure = _cells(row, now)
    return [
        markup.text(state, colour=markup.STATE_COLOURS.get(row.state, "")),
        markup.text(duration),
        markup.text(task, title=row.task_id),
        markup.text(title, title=row.title),
        markup.text(endpoint, title=" · ".join(part for part in (row.endpoint_id, row.place) if part)),
        markup.text(failure, title=failure_line(row.failure, row.message)),
    ]


def failure_line(failure: str, message: str) -> str:
    """Return what went wrong in one line."""
    return f"{failure}: {message}" if failure and message else failure or message


def _cells(row: TaskRow, now: float) -> tuple[str, ...]:
    return (
        row.word,
        row.duration(now),
        words.short_id(row.task_id),
        shortened(row.title, _TITLE),
        row.endpoint,
        shortened(failure_line(row.failure, row.message), _MESSAGE),
    )
