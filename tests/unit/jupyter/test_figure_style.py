"""What a notebook's figures look like goes along, whether one was drawn there or not."""

from __future__ import annotations

import sys

import matplotlib as mpl
import pytest
from cycler import cycler

from funcx_jupyter.shell import figure_style


@pytest.mark.parametrize("has_drawn", [True, False])
def test_settings_of_matplotlib_go_with_a_cell(has_drawn, monkeypatch):
    if has_drawn:
        import matplotlib_inline.config  # noqa: F401 - what drawing does
    else:
        monkeypatch.delitem(sys.modules, "matplotlib_inline.config", raising=False)
    colours = cycler("color", ["#ff0000", "#00ff00"]) + cycler("linestyle", ["-", ":"])
    wanted = {"lines.linewidth": 5.0, "figure.figsize": [3.0, 2.0], "axes.prop_cycle": colours}
    with mpl.rc_context(wanted):
        found = figure_style().rc
    assert {name: found[name] for name in ("lines.linewidth", "figure.figsize")} == {
        "lines.linewidth": 5.0,
        "figure.figsize": [3.0, 2.0],
    }
    with mpl.rc_context(found):  # As the worker does.
        assert mpl.rcParams["axes.prop_cycle"] == colours
