"""Runs a cell in this process as a worker would: in a namespace of its own, with copies of what it captured, and only -o comes back."""

from __future__ import annotations

import platform
import sys
import time
from collections.abc import Callable
from typing import Any, Final

import msgspec

from funcx_core.cells.changes import Fingerprints
from funcx_core.cells.limit import limited
from funcx_core.cells.pickling import CellPickler, can_travel
from funcx_core.cells.rebuild import Arrivals, load_values
from funcx_core.cells.requirements import check_here
from funcx_core.cells.running import as_main, bring_in, compile_cell, new_main, pickle_last_value
from funcx_core.cells.spec import Bundle, CellSpec, Piece
from funcx_core.errors import ResultNotSerializable
from funcx_core.serialize import RemoteInfo, describe_exception
from funcx_jupyter.capture.culprit import type_name
from funcx_jupyter.display import words
from funcx_jupyter.display.header import describe_inputs
from funcx_jupyter.options.cell import CellOptions
from funcx_jupyter.session.following import Screen
from funcx_jupyter.session.outcome import Finished, LeftBehind, changed_there
from funcx_jupyter.session.prepare import PreparedCell, with_pieces_inside
from funcx_jupyter.session.upstream import check_there_none

HERE: Final = "here"
Shown = Callable[[Any], Bundle | None]
"""Makes of a value what it looks like; None if it has shown itself."""
_LAST: Final = "the value of the last expression"


def run_here(spec: CellSpec, namespace: dict[str, Any], shown: Shown, seconds: float | None = None) -> Finished:
    """Run a cell here and return what it gives back, loaded for `namespace`. Nothing is assigned. What it raises passes through.

    Args:
        spec: the cell.
        namespace: where notebook code lives.
        shown: makes of its value what it looks like.
        seconds: after which it is stopped.
    """
    module = new_main(spec.filename)
    module.__dict__.update(exit=sys.exit, quit=sys.exit)
    arrivals = Arrivals(module.__dict__)
    with as_main(module):
        # Modules of the working directory are this kernel's own: instances of their classes are to be its own, too.
        bring_in(msgspec.structs.replace(spec, sources=Piece()), arrivals)
        before = Fingerprints(module.__dict__, spec.watched)
        with limited(seconds):
            value = compile_cell(spec).run(module.__dict__)
        look = None if value is None or spec.silent else shown(value)
        names, sizes, packed = _outputs(spec, arrivals)
        last, why_not = (None, "") if value is None or spec.silent else pickle_last_value(value, arrivals, sys.maxsize)
        changed = before.changed(module.__dict__)
    home = Arrivals(namespace)
    outputs = dict(load_values(packed, names, home))
    if last is not None:
        value = next(load_values(last, [_LAST], home))[1]
    elif why_not:
        value = LeftBehind(look, why_not)
    else:
        value = None
    sized = dict(zip(names, sizes, strict=True))
    return Finished(outputs, sized, look, value, platform.node(), changed=changed)


def _outputs(spec: CellSpec, arrivals: Arrivals) -> tuple[list[str], list[int], bytes]:
    """Return names, sizes and pickles of what comes back."""
    pickler, names, sizes = CellPickler(arrivals), [], []
    for name in spec.outputs:
        if spec.as_there_are and not can_travel(name, arrivals):
            continue
        if name not in arrivals.namespace:
            raise NameError(f"`{name}` is named with -o, but the cell ended without assigning it.", name=name)
        value = arrivals.namespace[name]
        try:
            sizes.append(pickler.add(value))
            names.append(name)
        except Exception as error:
            # Pickling runs code of the user's classes, which may raise anything.
            raise ResultNotSerializable(f"`{name}` ({type_name(value)}) cannot be sent back: {error}") from error
    return names, sizes, pickler.getvalue()


class RunHere:
    """One run of one cell with `--local`. Call `run`, once."""

    def __init__(self, prepared: PreparedCell, options: CellOptions, shown: Shown) -> None:
        self._prepared = prepared
        self._options = options
        self._shown = shown

    def run(self, namespace: dict[str, Any], screen: Screen) -> Finished:
        """Return what the cell gave back; its outputs are in `namespace` then. If this raises, nothing was assigned.

        Raises:
            CaptureError: the cell uses a value that is on an endpoint.
            BaseException: what the cell raises.
        """
        captured = self._prepared.captured
        check_there_none(captured.remote)
        spec = with_pieces_inside(self._prepared.spec, captured)
        check_here(spec.requires, platform.node())
        begun = time.monotonic()
        try:
            finished = run_here(spec, namespace, self._shown, self._options.walltime)
        except Exception as error:  # noqa: BLE001 - what the cell raises; it is raised again, told how to show itself
            self._tell(screen, f"✗ failed after {words.span(time.monotonic() - begun)} s", {})
            described = describe_exception(error)
            error.funcx = RemoteInfo(None, described.traceback, described.frames, {})  # type: ignore[attr-defined]
            raise screen.arrange(error, where="here, with --local", verbose=self._options.verbose) from error.__cause__
        self._tell(screen, f"✓ {words.span(time.monotonic() - begun)} s", finished.sizes)
        if finished.changed:
            screen.notice(changed_there(finished.changed).replace("remotely", "in the cell"))
        namespace.update(finished.outputs)
        return finished

    def _tell(self, screen: Screen, how: str, sizes: dict[str, int]) -> None:
        if self._options.quiet:
            return
        inputs = describe_inputs(self._prepared.captured, verbose=self._options.verbose)
        outputs = ", ".join(f"{name} {words.size(size)}" for name, size in sizes.items())
        parts = [HERE, how, f"in: {inputs}" if inputs else "", f"out: {outputs}" if outputs else ""]
        screen.notice(" · ".join(filter(None, parts)))
