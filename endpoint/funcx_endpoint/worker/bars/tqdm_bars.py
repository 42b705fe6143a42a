"""Lets `tqdm` tell its bars to the board: `tqdm.std`, which `tqdm.auto`, `tqdm.asyncio` and others stand on, and `tqdm.notebook`.

A bar that writes to a file of the user's stays as it is, and so does every bar outside of a task.
"""

from __future__ import annotations

import functools
import io
import sys
import weakref
from collections.abc import Callable
from types import ModuleType
from typing import Any, Final

from funcx_core.progress.board import Board, new_bar_id
from funcx_core.protocol.progress import Bar

_FILE: Final = 4
"""Place of `file` among the arguments of a bar."""
_ID: Final = "_funcx_bar_id"


class _Nowhere(io.StringIO):
    """What a bar writes to whose state is told instead."""

    def write(self, text: str, /) -> int:
        return len(text)


def change_std(module: ModuleType, board: Board, takes: Callable[[Any], bool]) -> None:
    """Let bars of `tqdm.std` go to the board if it takes what they would have written to."""
    cls = module.tqdm
    init, display = cls.__init__, cls.display
    nowhere = _Nowhere()

    @functools.wraps(init)
    def __init__(bar: Any, *args: Any, **options: Any) -> None:  # noqa: N807 - it becomes one
        place = options.get("file") or (args[_FILE] if len(args) > _FILE else None) or sys.stderr
        if not options.get("gui") and takes(place):
            if len(args) > _FILE:
                args = (*args[:_FILE], nowhere, *args[_FILE + 1 :])
            else:
                options["file"] = nowhere
            bar.__dict__[_ID] = new_bar_id()
        init(bar, *args, **options)

    @functools.wraps(display)
    def display_(bar: Any, msg: str | None = None, pos: int | None = None) -> Any:
        bar_id = bar.__dict__.get(_ID)
        if bar_id is None:
            return display(bar, msg, pos)
        if msg == "":  # It closes, and is not to be left.
            board.drop(bar_id)
            return True
        known = weakref.ref(bar)
        board.put(_reading(bar, bar_id), lambda: _last_reading(known(), bar_id))
        return True

    cls.__init__, cls.display = __init__, display_


def change_notebook(module: ModuleType) -> None:
    """Let the bars of `tqdm.notebook` be ordinary ones: widgets need a kernel, and a worker is none."""
    std = sys.modules["tqdm.std"].tqdm

    class tqdm_notebook(std):  # type: ignore[misc, valid-type] # noqa: N801 - it takes the place of this one
        def __init__(self, *args: Any, **options: Any) -> None:
            options.pop("display", None)
            super().__init__(*args, **options)

    assert module.tqdm_notebook is module.tqdm  # noqa: S101 - in all versions there are
    module.tqdm_notebook = module.tqdm = tqdm_notebook  # type: ignore[attr-defined]


def _reading(bar: Any, bar_id: int) -> Bar:
    state = bar.format_dict
    factor, scale = _scale(state["unit_scale"], state["unit_divisor"])
    n, total, elapsed = state["n"], state["total"], float(state["elapsed"] or 0.0)
    rate = state["rate"]
    if rate is None and elapsed > 0:
        rate = (n - (state["initial"] or 0)) / elapsed
    told = Bar(
        id=bar_id,
        n=_plain(n * factor),
        total=None if total is None else _plain(total * factor),
        description=str(state["prefix"] or "").removesuffix(": "),
        unit=str(state["unit"]),
        scale=scale,
        elapsed=round(elapsed, 3),
        rate=None if rate is None else float(rate * factor),
        postfix=str(state["postfix"] or ""),
    )
    return told.closed() if bar.disable else told


def _last_reading(bar: Any, bar_id: int) -> Bar | None:
    return None if bar is None else _reading(bar, bar_id)


def _scale(unit_scale: Any, divisor: Any) -> tuple[float, int]:
    """Return what to multiply numbers with, and by what they go up to k, M and G."""
    size = 1024 if divisor == 1024 else 1000  # noqa: PLR2004 - there are those two
    if unit_scale is True:
        return 1, size
    return (1, 0) if not unit_scale or unit_scale == 1 else (unit_scale, size)


def _plain(number: Any) -> int | float:
    """Return what may be a number of numpy's as one of Python's."""
    return number if isinstance(number, int) else float(number)
