"""The few controls that our views are made of: core ipywidgets, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import ipywidgets

ACTION_WIDTH: Final = 66
"""Pixels: in the smallest theme the longest of our words fits."""
_MARGINS: Final = 4
"""Pixels that ipywidgets leave between two controls."""


def button(description: str, tooltip: str, on_click: Callable[[], None]) -> Any:
    """Return a button as wide as its words."""
    made = ipywidgets.Button(description=description, tooltip=tooltip, layout=ipywidgets.Layout(width="auto"))
    made.on_click(lambda _: on_click())
    return made


def action(description: str, tooltip: str, on_click: Callable[[], None]) -> Any:
    """Return a button for a line of a table: all of them are `ACTION_WIDTH` wide, so that columns stay in line."""
    made = button(description, tooltip, on_click)
    made.layout.width = f"{ACTION_WIDTH}px"
    return made


def gap(actions: int) -> Any:
    """Return empty room, as wide as this many actions."""
    return ipywidgets.HTML(layout=ipywidgets.Layout(width=f"{actions * (ACTION_WIDTH + _MARGINS)}px", height="0"))


def again(on_click: Callable[[], None]) -> Any:
    """Return the button that belongs to the line that says that the service does not answer."""
    made = button("Try again", "Ask the service now, and not only when it is due.", on_click)
    visible(made, yes=False)
    return made


def allow(made: Any, why_not: str, tooltip: str) -> None:
    """Enable a button, or disable it and say why where the pointer rests on it."""
    made.disabled = bool(why_not)
    made.tooltip = why_not or tooltip


def search(placeholder: str, on_change: Callable[[str], None]) -> Any:
    """Return a field whose text is told at each change."""
    made = ipywidgets.Text(placeholder=placeholder, layout=ipywidgets.Layout(flex="1 1 14em", min_width="10em"))
    made.observe(lambda change: on_change(change["new"]), names="value")
    return made


def choice(label: str, options: list[tuple[str, Any]], tooltip: str, on_change: Callable[[Any], None]) -> Any:
    """Return a drop-down list."""
    made = ipywidgets.Dropdown(
        description=label,
        options=options,
        tooltip=tooltip,
        layout=ipywidgets.Layout(width="auto"),
        style={"description_width": "initial"},
    )
    made.observe(lambda change: on_change(change["new"]), names="value")
    return made


def switch(description: str, tooltip: str, on_change: Callable[[bool], None]) -> Any:
    """Return a button that stays down until it is pressed again."""
    made = ipywidgets.ToggleButton(description=description, tooltip=tooltip, layout=ipywidgets.Layout(width="auto"))
    made.observe(lambda change: on_change(change["new"]), names="value")
    return made


def html(*, wide: bool = False) -> Any:
    """Return a place for HTML; what is put there is escaped by `markup`."""
    return ipywidgets.HTML(layout=ipywidgets.Layout(flex="1 1 0", min_width="0") if wide else ipywidgets.Layout())


def line(*children: Any) -> Any:
    """Return widgets beside each other, going on below where there is no room."""
    return ipywidgets.HBox(list(children), layout=ipywidgets.Layout(flex_flow="row wrap", align_items="center"))


def row(*children: Any) -> Any:
    """Return widgets beside each other, whatever the room."""
    return ipywidgets.HBox(list(children), layout=ipywidgets.Layout(align_items="center"))


def folding(wide: Any, narrow: Any) -> Any:
    """Return two widgets beside each other, the second below the first where there is no room for both."""
    wide.layout.flex = "1 1 26em"
    narrow.layout.flex = "0 0 auto"
    return line(wide, narrow)


def stack(*children: Any) -> Any:
    """Return widgets above each other."""
    return ipywidgets.VBox(list(children))


def show(place: Any, content: str) -> None:
    """Put HTML into a place, unless it is there."""
    if place.value != content:
        place.value = content


def visible(made: Any, *, yes: bool) -> None:
    """Show or hide a widget, with its room."""
    display = None if yes else "none"
    if made.layout.display != display:
        made.layout.display = display


def close(root: Any) -> None:
    """Close a widget, everything in it, and their layouts and styles."""
    for child in getattr(root, "children", ()):
        close(child)
    for part in (getattr(root, "layout", None), getattr(root, "style", None)):
        if part is not None:
            part.close()
    root.close()
