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

from funcx_core.cells.pickling import CellPickler
from funcx_core.cells.rebuild import Arrivals, forget_those_gone, goes_home_by_name
from funcx_core.cells.running import as_main, bring_in, compile_cell, new_main, pickle_last_value
from funcx_core.cells.spec import Bundle, CellOutcome, CellSpec, FigureStyle, spec_decoder
from funcx_core.errors import ResultNotSerializable, ResultTooLarge
from funcx_core.protocol.codec import encode
from funcx_endpoint.worker import circumstances
from funcx_endpoint.worker.capture import bars
from funcx_endpoint.worker.cell_logging import own_logging
from funcx_endpoint.worker.packages import packages_of
from funcx_endpoint.worker.questions import nobody_answers


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
    arrivals = Arrivals(module.__dict__)
    shell = shell_of_cells()
    with as_main(module), nobody_answers(), shell.running(module, spec.figures), own_logging():
        bring_in(spec, arrivals)
        try:
            value = compile_cell(spec).run(module.__dict__)
        except Exception as error:
            circumstances.note(error)
            if (home_name := arrivals.home_name(type(error))) is not None:
                goes_home_by_name(type(error), home_name)
            raise
        finally:
            shell.finish_figures()  # Also those that were drawn before something raised, as a kernel does.
        shown = None if value is None or spec.silent else shell.bundle(value)
        return encode(_outcome(spec, arrivals, value, shown))


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


def _outcome(spec: CellSpec, arrivals: Arrivals, value: Any, shown: Bundle | None) -> CellOutcome:
    sizes, values = pickle_outputs(spec, arrivals)
    room = min(spec.value_limit, spec.result_limit - len(values))
    pickled, why_not = (None, "") if value is None or spec.silent else pickle_last_value(value, arrivals, room)
    return CellOutcome(
        sizes=sizes,
        values=values,
        shown=shown,
        value=pickled,
        left_behind=why_not,
        hostname=platform.node(),
        python_version=platform.python_version(),
        platform=platform.platform(),
        packages=packages_of(arrivals.namespace.values(), (alias.module for alias in spec.modules)),
    )


def pickle_outputs(spec: CellSpec, arrivals: Arrivals) -> tuple[list[int], bytes]:
    """Return the size of the pickle of each output, and the pickles.

    Raises:
        NameError, ResultNotSerializable, ResultTooLarge: naming the output that is missing or cannot be sent.
    """
    missing = [name for name in spec.outputs if name not in arrivals.namespace]
    if missing:
        raise NameError(f"`{missing[0]}` is named with -o, but the cell ended without assigning it.", name=missing[0])
    pickler = CellPickler(arrivals)
    sizes = [_pickle_output(pickler, name, arrivals.namespace[name]) for name in spec.outputs]
    if sum(sizes) > spec.result_limit:
        size, name = max(zip(sizes, spec.outputs, strict=True))
        raise ResultTooLarge(
            f"`{name}` has {size:,} bytes; at most {spec.result_limit:,} come back from a cell. "
            "Send back a part of it, or save it to a file and send back the path.",
            details={"size": size, "limit": spec.result_limit},
        )
    return sizes, pickler.getvalue()


def _pickle_output(pickler: CellPickler, name: str, value: Any) -> int:
    try:
        return pickler.add(value)
    except Exception as error:
        # Pickling runs code of the user's classes, which may raise anything.
        kind = f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")
        raise ResultNotSerializable(f"`{name}` ({kind}) cannot be sent back: {error}") from error


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
