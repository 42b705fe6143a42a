"""A `PickerModel` as text and as HTML. Pure."""

from __future__ import annotations

from typing import Final

from funcx_jupyter.session.endpoints import Endpoint
from funcx_jupyter.widgets import markup
from funcx_jupyter.widgets.monitor_model import OUTAGE_WORDS
from funcx_jupyter.widgets.picker_model import PickerModel, word
from funcx_jupyter.widgets.plain import columns

HEADING: Final = ("", "endpoint", "state", "load", "python", "host", "where")
ASKING: Final = "Asking the service …"
NOTHING: Final = "There is no endpoint yet. Start one with `funcx up`."


def as_text(model: PickerModel) -> str:
    """Return the endpoints that are asked for as a table; an arrow marks the chosen one."""
    rows = [_cells(model, row) for row in model.rows()]
    lines = [f"{model.outage} {OUTAGE_WORDS}"] if model.outage else []
    lines += columns(HEADING, rows) if rows else [nothing(model)]
    lines += [_never_started(name) for name in model.not_started()]
    return "\n".join(lines)


def as_html(model: PickerModel) -> str:
    """Return the same as HTML."""
    rows = [
        [
            markup.text(cell, bold=column == 1, colour=_colour(row) if column == _STATE else "")
            for column, cell in enumerate(_cells(model, row))
        ]
        for row in model.rows()
    ]
    table = markup.table(HEADING, rows) if rows else markup.paragraph(nothing(model))
    return markup.block(outage(model), table, *(markup.paragraph(_never_started(name)) for name in model.not_started()))


def outage(model: PickerModel) -> str:
    """Return the line that says that the service does not answer, or nothing."""
    if not model.outage:
        return ""
    return markup.paragraph(f"⚠ {model.outage} {OUTAGE_WORDS}", style=f"color: {markup.WARN}", role="alert")


def chosen(model: PickerModel, row: Endpoint) -> str:
    """Return what there is to know of one endpoint."""
    facts = [word(row), model.load(row), model.badge(row), f"host {row.hostname}" if row.hostname else ""]
    where = "this machine" if model.is_local(row) else ""
    return markup.block(
        markup.text(row.name, bold=True, title=row.endpoint_id),
        markup.paragraph(" · ".join(fact for fact in [*facts, where] if fact)),
        markup.paragraph(model.why_not_use(row), style=f"color: {markup.WARN}"),
    )


def nothing(model: PickerModel) -> str:
    """Return why the list is empty."""
    if not model.is_known:
        return "" if model.outage else ASKING
    return f"No endpoint matches '{model.search}'." if model.search else NOTHING


_STATE: Final = 2


def _cells(model: PickerModel, row: Endpoint) -> tuple[str, ...]:
    mark = "→" if row.endpoint_id == model.chosen else ""
    where = "this machine" if model.is_local(row) else ""
    return (mark, row.name, word(row), model.load(row), model.badge(row), row.hostname, where)


def _colour(row: Endpoint) -> str:
    return markup.GOOD if row.is_online else ""


def _never_started(name: str) -> str:
    return f"{name} is configured on this machine and was never started: `funcx-endpoint start {name}`."
