"""What the SDK looks up here by name when a study is shown in a notebook."""

from __future__ import annotations

from funcx_jupyter.grids.bar import GridBar
from funcx_jupyter.grids.plot import LivePlot as live_plot  # noqa: N813 - the SDK calls it as a function

__all__ = ["GridBar", "live_plot"]
