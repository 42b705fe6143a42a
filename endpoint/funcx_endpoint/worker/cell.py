"""Runs a notebook cell on a worker. `run_cell` is what the function that notebooks register calls.

A cell gets a namespace of its own, which is also the module ``__main__`` while it runs. So classes of the notebook are the
same by pickle's rules here and at home. Where IPython is installed, `display`, figures and the last expression behave as
in a kernel (see `cell_shell`); without it, text is all there is.
"""

from __future__ import annotations

import platform
import sys
import types
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol

import msgspec

from funcx_core.cells import seeds
from funcx_core.cells.changes import Fingerprints
from funcx_core.cells.rebuild import Arrivals, forget_those_gone, goes_home_by_name
from funcx_core.cells.running import as_main, bring_in, compile_cell, new_main
from funcx_core.cells.spec import Bundle, FigureStyle, spec_decoder
from funcx_core.protocol.codec import encode
from funcx_endpoint.worker import circumstances
from funcx_endpoint.worker.capture import bars
from funcx_endpoint.worker.cell_logging import own_logging
from funcx_endpoint.worker.cell_outputs import outcome_of
from funcx_endpoint.worker.cell_warnings import warnings_named
from funcx_endpoint.worker.keeping import finder
from funcx_endpoint.worker.place import place
from funcx_endpoint.worker.questions import nobody_answers
from funcx_endpoint.worker.refusable import refusable
from funcx_endpoint.worker.whereabouts import whereabouts


class Shell(Protocol):
    """What shows things for a cell."""

    def running(self, module: types.ModuleType, figures: FigureStyle) -> AbstractContextManager[None]:
        """While this is open, `display` and figures of code in `module` reach the user."""

    def finish_figures(self) -> None:
        """Show the figures that are still open."""

    def bundle(self, value: Any) -> Bundle | None:
        """Return what `value` looks like; None if it has shown itself."""


def run_cell(encoded: bytes) -> bytes:
    """Run a `CellSpec` and return a `CellOutcome`, both encoded. Whatever the cell raises passes through."""
    forget_those_gone()
    circumstances.begin()
    spec = spec_decoder.decode(encoded)
    if spec.requires:
        check_requirements(spec.requires)
    if (own_bars := bars()) is not None:
        own_bars.choose(spec.progress)
    module = new_main(spec.filename)
    module.__dict__.update(exit=sys.exit, quit=sys.exit)  # As in a notebook; IPython takes them from the builtins.
    arrivals = arrivals_of(module)
    shell = shell_of_cells()
    with (
        as_main(module),
        nobody_answers(),
        shell.running(module, spec.figures),
        own_logging(),
        warnings_named(spec.places),
        seeds.noting(),
    ):
        bring_in(spec, arrivals)
        before = Fingerprints(module.__dict__, spec.watched)
        try:
            watch = seeds.watched if seeds.may_have_seeds(spec.source) else None
            value = compile_cell(spec, watch).run(module.__dict__)
        except Exception as error:
            circumstances.note(error, whereabouts(spec, arrivals))
            if (home_name := arrivals.home_name(type(error))) is not None:
                goes_home_by_name(type(error), home_name)
            raise
        finally:
            shell.finish_figures()  # Also those that were drawn before something raised, as a kernel does.
        shown = None if value is None or spec.silent else shell.bundle(value)
        changed = before.changed(module.__dict__)
        outcome = msgspec.structs.replace(outcome_of(spec, arrivals, value, shown), changed=changed)
        return encode(refusable(spec, arrivals, outcome))


def check_requirements(requires: list[str]) -> None:
    """Raise unless the packages that the cell needs are here."""
    from funcx_core.cells.requirements import check_here  # noqa: PLC0415 - few cells need it

    check_here(requires, platform.node())


def shell_of_cells() -> Shell:
    """Return what shows things for the cells of this process."""
    try:
        from funcx_endpoint.worker.cell_shell import CellShell  # noqa: PLC0415 - IPython is optional, and slow to import
    except ModuleNotFoundError:
        return _PlainShell()
    return CellShell.of_this_process()


def arrivals_of(module: types.ModuleType) -> Arrivals:
    """Return where the notebook's code and values arrive, among them those that are kept here."""
    arrivals = Arrivals(module.__dict__)
    if (here := place()) is not None:
        arrivals.kept = finder(here, arrivals)
    return arrivals


class _PlainShell:
    """For a worker without IPython: the value's `repr` is what it looks like."""

    @contextmanager
    def running(self, module: types.ModuleType, figures: FigureStyle) -> Iterator[None]:
        module.__dict__.setdefault("display", lambda *things: print(*(repr(thing) for thing in things), sep="\n"))  # noqa: T201
        del figures
        yield

    def finish_figures(self) -> None:
        """There are none: figures need IPython."""

    def bundle(self, value: Any) -> Bundle | None:
        return Bundle({"text/plain": repr(value)})
