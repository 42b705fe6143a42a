"""A `TimelineModel` as an anywidget: one canvas, drawn by `timeline.js`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import anywidget
import traitlets

from funcx_jupyter.widgets.timeline_model import TimelineModel, columns

_HERE: Final = Path(__file__).parent


class TimelineWidget(anywidget.AnyWidget):
    """The widget. `data` are the columns that it draws."""

    _esm = (_HERE / "timeline.js").read_text()
    _css = (_HERE / "timeline.css").read_text()
    data = traitlets.Dict().tag(sync=True)


class TimelineView:
    """The widget of one timeline. `show` brings it up to date."""

    def __init__(self, model: TimelineModel, clock: Callable[[], float]) -> None:
        self._model = model
        self._clock = clock
        self.root = TimelineWidget(data=columns(model, clock()))

    def show(self) -> None:
        """Show what the model knows now."""
        self.root.data = columns(self._model, self._clock())

    def close(self) -> None:
        """Remove the widget."""
        layout = self.root.layout
        self.root.close()
        layout.close()
