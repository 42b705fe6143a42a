"""A `TaskModel` as text and as HTML. Pure."""

from __future__ import annotations

from funcx_jupyter.display import ansi, words
from funcx_jupyter.widgets import markup
from funcx_jupyter.widgets.monitor_forms import failure_line
from funcx_jupyter.widgets.monitor_model import OUTAGE_WORDS
from funcx_jupyter.widgets.printed import tail
from funcx_jupyter.widgets.task_model import TaskModel


def as_text(model: TaskModel, now: float) -> str:
    """Return the task, where its time went, and what it printed."""
    lines = [headline(model, now), where_time_went(model, now), failure_line(model.row.failure, model.row.message)]
    if model.outage:
        lines.append(f"{model.outage} {OUTAGE_WORDS}")
    return "\n".join(
        [*(line for line in lines if line), *ansi.without_codes(tail(model.log())).rstrip("\n").splitlines()]
    )


def as_html(model: TaskModel, now: float) -> str:
    """Return the same as HTML that needs neither widgets nor scripts."""
    return markup.block(head(model, now), log(model))


def head(model: TaskModel, now: float) -> str:
    """Return the task and where its time went."""
    row = model.row
    parts = [
        markup.paragraph(headline(model, now), style=f"color: {markup.STATE_COLOURS.get(row.state, '')}", role="status")
    ]
    if (spans := row.spans(now)) is not None:
        about = where_time_went(model, now)
        bar = [
            ("queue", spans.queue, markup.REST),
            ("run", spans.run, markup.BUSY),
            ("transfer", spans.transfer, markup.WARN),
        ]
        parts += [markup.shares(bar, about), markup.paragraph(about, style=markup.MUTED)]
    if failure := failure_line(row.failure, row.message):
        parts.append(markup.paragraph(failure, style=f"color: {markup.BAD}"))
    if model.outage:
        parts.append(markup.paragraph(f"⚠ {model.outage} {OUTAGE_WORDS}", style=f"color: {markup.WARN}", role="alert"))
    return "".join(parts)


def log(model: TaskModel) -> str:
    """Return what was printed, or nothing."""
    return markup.preformatted(tail(printed)) if (printed := model.log()) else ""


def headline(model: TaskModel, now: float) -> str:
    """Return the task in one line."""
    row = model.row
    parts = [row.word, row.duration(now), row.endpoint, row.title, f"task {words.short_id(row.task_id)}"]
    return " · ".join(part for part in parts if part)


def where_time_went(model: TaskModel, now: float) -> str:
    """Return the parts of its time in words, or nothing."""
    spans = model.row.spans(now)
    if spans is None:
        return ""
    where = f" ({model.row.place})" if model.row.place else ""
    return (
        f"queue {words.span(spans.queue)} s · run {words.span(spans.run)} s{where}"
        f" · transfer {words.span(spans.transfer)} s"
    )
