"""How a grid is shown where it was made: in a notebook by `funcx_jupyter`, in a terminal by characters."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any, TextIO

from funcx_core.sdk.grids.curve import as_text, curves
from funcx_core.sdk.grids.keeper import View

if TYPE_CHECKING:
    from funcx_core.sdk.grids.grid import Grid


def progress_view(grid: Grid) -> View | None:
    """Return what shows a progress bar here; None where nobody would see it."""
    if (notebook := _notebook()) is not None:
        view: View = notebook.GridBar(grid)
        return view
    return TextBar(grid, sys.stderr) if sys.stderr is not None and sys.stderr.isatty() else None


def live_plot(grid: Grid, x: str, y: str, by: str | None) -> Any:
    """Return a plot that follows the grid."""
    curves(grid.rows(), x, y, by)  # A column that cannot be is said at once.
    if (notebook := _notebook()) is not None:
        return notebook.live_plot(grid, x, y, by)
    return TextPlot(grid, x, y, by)


class TextBar:
    """A line in a terminal that is written over."""

    def __init__(self, grid: Grid, stream: TextIO) -> None:
        self._grid = grid
        self._stream = stream
        self._width = 0

    def update(self, *, is_final: bool) -> None:
        """Write it again."""
        line = self._grid.line()
        self._stream.write("\r" + line.ljust(self._width) + ("\n" if is_final else ""))
        self._stream.flush()
        self._width = len(line)


class TextPlot:
    """A plot in characters: `print` it as often as you like."""

    def __init__(self, grid: Grid, x: str, y: str, by: str | None) -> None:
        self._grid = grid
        self._columns = x, y, by

    def __repr__(self) -> str:
        x, y, by = self._columns
        return as_text(curves(self._grid.rows(), x, y, by), x, y)


def _notebook() -> Any:
    """Return the notebook's half of this module; None in scripts and terminals.

    It is looked up by name: the SDK stands without the notebook, and is the lower one of the two.
    """
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return import_module("funcx_jupyter.grids.front") if getattr(shell, "kernel", None) is not None else None
