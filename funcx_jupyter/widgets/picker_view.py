"""A `PickerModel` as core ipywidgets."""

from __future__ import annotations

from typing import Final, Protocol

import ipywidgets

from funcx_jupyter.session.endpoints import Endpoint
from funcx_jupyter.widgets import controls, markup, picker_forms
from funcx_jupyter.widgets.picker_model import PickerModel

_MOST_LINES: Final = 8
USE: Final = "Cells that name no endpoint run there from now on."
START: Final = "Start its agent on this machine."
STOP: Final = "Stop its agent on this machine; running tasks may finish."


class Actions(Protocol):
    """What the controls do."""

    def pick(self, endpoint_id: str) -> None:
        """The user chose an endpoint."""

    def use(self) -> None:
        """Run cells there from now on."""

    def start(self) -> None:
        """Start the chosen endpoint."""

    def stop(self) -> None:
        """Stop the chosen endpoint."""

    def code(self) -> None:
        """Show the line to type."""

    def refresh_soon(self) -> None:
        """Ask the service now."""


class PickerView:
    """The widgets of one picker. `show` brings them up to date."""

    def __init__(self, model: PickerModel, actions: Actions) -> None:
        self._model = model
        self._actions = actions
        self._is_filling = False
        self._outage = controls.html()
        self._again = controls.again(actions.refresh_soon)
        self._about = controls.html()
        self._notice = controls.html()
        self._list = ipywidgets.Select(
            description="Endpoint",
            options=[],
            rows=3,
            layout=ipywidgets.Layout(width="auto"),
            style={"description_width": "initial"},
        )
        self._list.observe(self._on_choice, names="value")
        # JupyterLab keeps the arrow keys for its cells: a list alone cannot be used without a mouse.
        self._up = controls.button("▲ Up", "Choose the endpoint above.", lambda: self._step(-1))
        self._down = controls.button("▼ Down", "Choose the endpoint below.", lambda: self._step(1))
        self._use = controls.button("Use in this notebook", USE, actions.use)
        self._start = controls.button("Start", START, actions.start)
        self._stop = controls.button("Stop", STOP, actions.stop)
        self.root = controls.stack(
            controls.line(
                controls.search("Search: name, host, state", self._search),
                self._up,
                self._down,
                controls.button("Refresh", "Ask the service now.", actions.refresh_soon),
            ),
            self._outage,
            self._again,
            self._list,
            self._about,
            controls.line(
                self._use,
                self._start,
                self._stop,
                controls.button("Code", "Show the lines to type, to copy them.", actions.code),
            ),
            self._notice,
        )
        self.show()

    def show(self) -> None:
        """Show what the model knows now."""
        rows = self._model.rows()
        self._fill(rows)
        row = self._model.row(self._model.chosen)
        controls.show(self._outage, picker_forms.outage(self._model))
        controls.visible(self._again, yes=bool(self._model.outage))
        nothing = "" if rows else markup.paragraph(picker_forms.nothing(self._model))
        controls.show(self._about, picker_forms.chosen(self._model, row) if row is not None else nothing)
        controls.allow(self._use, self._model.why_not_use(row), USE)
        controls.allow(self._start, self._model.why_not_start(row), START)
        controls.allow(self._stop, self._model.why_not_stop(row), STOP)

    def notice(self, text: str) -> None:
        """Say what became of a click."""
        controls.show(self._notice, markup.paragraph(text, role="status") if text else "")

    def code(self, lines: list[str]) -> None:
        """Show lines of code to copy."""
        controls.show(self._notice, markup.copyable(lines))

    def close(self) -> None:
        """Close all widgets."""
        controls.close(self.root)

    def _fill(self, rows: list[Endpoint]) -> None:
        options = [(self._model.label(row), row.endpoint_id) for row in rows]
        wanted = self._model.chosen if self._model.chosen in {known for _, known in options} else None
        if options == list(self._list.options) and wanted == self._list.value:
            return
        self._is_filling = True
        try:
            self._list.rows = max(2, min(_MOST_LINES, len(options)))
            self._list.options = options
            self._list.value = wanted
        finally:
            self._is_filling = False

    def _on_choice(self, change: dict[str, object]) -> None:
        if not self._is_filling and change["new"]:
            self._actions.pick(str(change["new"]))

    def _step(self, by: int) -> None:
        known = [str(row.endpoint_id) for row in self._model.rows()]
        if known:
            at = known.index(self._model.chosen) + by if self._model.chosen in known else 0
            self._actions.pick(known[max(0, min(len(known) - 1, at))])

    def _search(self, text: str) -> None:
        self._model.search = text
        self.show()
