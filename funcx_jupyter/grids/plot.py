"""A plot of a study that is drawn again while results come in: matplotlib's picture, replaced in place, twice a second at most."""

from __future__ import annotations

import base64
import io
import os
import threading
from collections.abc import Sequence
from typing import Any, Final, Protocol

from funcx_core.errors import MissingPackage, UsageError
from funcx_core.sdk.grids.curve import Curve, as_text, curves
from funcx_core.sdk.grids.keeper import View
from funcx_jupyter.grids.place import Place

COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito's: they are told apart by everybody, also in print. Markers tell the curves apart a second time."""
MARKERS: Final = "os^Dv*P"
_MANY: Final = 200
"""Points of a curve over which their markers are small."""
_PICTURE: Final = "image/png"


class Study(Protocol):
    """What is plotted."""

    name: str

    def rows(self) -> list[dict[str, Any]]:
        """Return the table."""

    def watch(self, view: View) -> None:
        """Tell this one of news."""


class LivePlot:
    """The plot of one column over another.

    Attributes:
        figure: the matplotlib figure, as it was drawn last; yours to change once the study is complete.

    Raises:
        MissingPackage: matplotlib is not installed.
    """

    def __init__(self, grid: Study, x: str, y: str, by: str | None = None) -> None:
        try:
            from matplotlib.figure import Figure  # noqa: PLC0415 - optional, and slow to import
        except ModuleNotFoundError:
            raise MissingPackage(
                "matplotlib", "plot() draws with matplotlib.", "Or print the plot in a terminal."
            ) from None
        self._grid = grid
        self._columns = x, y, by
        self._lock = threading.Lock()
        self._place = Place()
        self.figure = Figure(figsize=(6.4, 3.8), layout="constrained")
        self._text = self._draw()

    def update(self, *, is_final: bool) -> None:
        """Draw it again, and show it if it is in sight."""
        del is_final
        with self._lock:
            self._text = self._draw()
            if self._place.is_shown:
                self._show()

    def save(self, path: str | os.PathLike[str], **options: Any) -> None:
        """Write it to a file, as it is now; the name says the format. `options` are those of matplotlib's `savefig`."""
        self.update(is_final=False)
        self.figure.savefig(path, **options)

    def __repr__(self) -> str:
        return self._text

    def _repr_png_(self) -> bytes:
        return self._png()

    def _ipython_display_(self) -> None:
        with self._lock:
            self._show()
        self._grid.watch(self)

    def _show(self) -> None:
        self._place.show({"text/plain": self._text, _PICTURE: base64.b64encode(self._png()).decode()})

    def _png(self) -> bytes:
        written = io.BytesIO()
        self.figure.savefig(written, format="png", dpi=100)
        return written.getvalue()

    def _draw(self) -> str:
        x, y, by = self._columns
        rows = self._grid.rows()
        try:
            found = curves(rows, x, y, by)
        except UsageError as error:
            found, trouble = [], str(error)
        else:
            trouble = ""
        self.figure.clear()
        axes = self.figure.subplots()
        _draw(axes, found)
        axes.set_xlabel(x)
        axes.set_ylabel(y)
        drawn = sum(len(curve.ys) for curve in found)
        axes.set_title(f"{self._grid.name}  {drawn:,} of {len(rows):,} points".strip(), fontsize="medium", loc="left")
        if trouble:
            axes.text(0.5, 0.5, trouble, ha="center", va="center", wrap=True, transform=axes.transAxes)
        if by and 0 < len(found) <= len(COLOURS):
            axes.legend(frameon=False)
        return trouble or as_text(found, x, y)


def _draw(axes: Any, found: Sequence[Curve]) -> None:
    for number, curve in enumerate(found):
        colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
        size = 5 if len(curve.xs) <= _MANY else 2
        line = "none" if curve.means else "-"
        label = curve.label or None
        axes.plot(
            curve.xs,
            curve.ys,
            color=colour,
            marker=marker,
            markersize=size,
            linestyle=line,
            linewidth=1,
            alpha=0.5 if curve.means else 1.0,
            label=None if curve.means else label,
            rasterized=len(curve.xs) > _MANY,
        )
        if curve.means:
            axes.plot(*zip(*curve.means, strict=True), color=colour, linewidth=1.6, label=label)
