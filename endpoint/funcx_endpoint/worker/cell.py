"""Runs a notebook cell on a worker. `run_cell` is what the function that notebooks register calls.

A cell gets a namespace of its own, which is also the module ``__main__`` while it runs. So classes of the notebook are the
same by pickle's rules here and at home. Where IPython is installed, `display`, figures and the last expression behave as
in a kernel (see `cell_shell`); without it, text is all there is.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import platform
import sys
import types
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib import import_module
from typing import Any, Protocol

from funcx_core.cells.pickling import CellPickler
from funcx_core.cells.rebuild import Arrivals, forget_those_gone, goes_home_by_name, load_values
from funcx_core.cells.sources import remember_text
from funcx_core.cells.spec import Bundle, CellOutcome, CellSpec, FigureStyle, spec_decoder
from funcx_core.errors import ResultNotSerializable, ResultTooLarge
from funcx_core.protocol.codec import encode
from funcx_endpoint.worker.packages import packages_of


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
    spec = spec_decoder.decode(encoded)
    module = types.ModuleType("__main__")
    module.__dict__["__file__"] = spec.filename
    arrivals = Arrivals(module.__dict__)
    shell = _shell()
    with _as_main(module), shell.running(module, spec.figures):
        _bring_in(spec, arrivals)
        try:
            value = _execute(spec, module.__dict__)
        except Exception as error:
            if (home_name := arrivals.home_name(type(error))) is not None:
                goes_home_by_name(type(error), home_name)
            raise
        finally:
            shell.finish_figures()  # Also those that were drawn before something raised, as a kernel does.
        shown = None if value is None or spec.silent else shell.bundle(value)
        return encode(_outcome(spec, arrivals, value, shown))


@contextmanager
def _as_main(module: types.ModuleType) -> Iterator[None]:
    before = sys.modules["__main__"]
    sys.modules["__main__"] = module
    try:
        yield
    finally:
        sys.modules["__main__"] = before


def _shell() -> Shell:
    try:
        from funcx_endpoint.worker.cell_shell import CellShell  # noqa: PLC0415 - IPython is optional, and slow to import
    except ModuleNotFoundError:
        return _PlainShell()
    return CellShell.of_this_process()


def _bring_in(spec: CellSpec, arrivals: Arrivals) -> None:
    for module in spec.modules:
        arrivals.namespace[module.name] = _imported(module.module)
    for name, value in load_values(spec.values, spec.names, arrivals):
        arrivals.namespace[name] = value


def _imported(name: str) -> types.ModuleType:
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        # The notebook has it, the worker has not: the frames of the import machinery would tell nobody anything.
        raise error.with_traceback(None) from None


def _execute(spec: CellSpec, namespace: dict[str, Any]) -> Any:
    """Run the cell and return the value of its last expression, None if it ends with something else."""
    remember_text(spec.filename, spec.text or spec.source)
    tree = ast.parse(spec.source, spec.filename)
    last = tree.body[-1] if tree.body else None
    if isinstance(last, ast.Expr):
        tree.body.pop()
    _run(compile(tree, spec.filename, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True), namespace)
    if not isinstance(last, ast.Expr):
        return None
    expression = ast.Expression(last.value)
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    return _run(compile(expression, spec.filename, "eval", flags=flags, dont_inherit=True), namespace)


def _run(code: types.CodeType, namespace: dict[str, Any]) -> Any:
    result = eval(code, namespace)  # noqa: S307 - running the user's code is what a worker is for
    return asyncio.run(result) if code.co_flags & inspect.CO_COROUTINE else result


def _outcome(spec: CellSpec, arrivals: Arrivals, value: Any, shown: Bundle | None) -> CellOutcome:
    sizes, values = _pickle_outputs(spec, arrivals)
    room = min(spec.value_limit, spec.result_limit - len(values))
    pickled, why_not = (None, "") if value is None or spec.silent else _pickle_value(value, arrivals, room)
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


def _pickle_outputs(spec: CellSpec, arrivals: Arrivals) -> tuple[list[int], bytes]:
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


def _pickle_value(value: Any, arrivals: Arrivals, room: int) -> tuple[bytes | None, str]:
    pickler = _LastValuePickler(arrivals)
    try:
        size = pickler.add(value)
    except Exception as error:  # noqa: BLE001 - any class may refuse to be pickled; it is shown all the same
        return None, str(error)
    if size > room:
        return None, f"it has {size:,} bytes; assign it and name it with -o to have it sent"
    return pickler.getvalue(), ""


class _LastValuePickler(CellPickler):
    """For values that nobody asked for. Figures and what is in them are shown, which is what they are for.

    Sent back, they would make the notebook import matplotlib and perhaps show the figure again.
    """

    def reducer_override(self, thing: Any) -> Any:
        artist = sys.modules.get("matplotlib.artist")
        if artist is not None and isinstance(thing, artist.Artist):
            raise TypeError("it is part of a figure; assign it and name it with -o to have it sent")
        return super().reducer_override(thing)


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
