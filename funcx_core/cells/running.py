"""A cell that runs in a namespace of its own: what comes with it is brought in, then its statements run. Wherever that is."""

from __future__ import annotations

import ast
import asyncio
import inspect
import sys
import types
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib import import_module
from typing import Any, Final, NamedTuple

from funcx_core.cells import modules
from funcx_core.cells.bounded import Bounded, NoRoom
from funcx_core.cells.inputs import read_input
from funcx_core.cells.pickling import CellPickler
from funcx_core.cells.rebuild import Arrivals, load_values
from funcx_core.cells.sources import future_flags, remember_text
from funcx_core.cells.spec import CellSpec, Piece, Stream

TOO_LARGE: Final = "it is too large; assign it and name it with -o to have it sent"


def new_main(filename: str) -> types.ModuleType:
    """Return an empty namespace for one run of the cell of this file name."""
    module = types.ModuleType("__main__")
    module.__dict__["__file__"] = filename
    return module


@contextmanager
def as_main(module: types.ModuleType) -> Iterator[None]:
    """Within this, the module is ``__main__``: classes of the notebook are the same by pickle's rules here and at home."""
    before = sys.modules["__main__"]
    sys.modules["__main__"] = module
    try:
        yield
    finally:
        sys.modules["__main__"] = before


def bring_in(spec: CellSpec, arrivals: Arrivals) -> None:
    """Make the modules importable that come with the cell, repeat the notebook's imports, and load its variables into the namespace.

    The modules stay until `modules.remove`: what the cell raises may be of them.

    Raises:
        InputLost: an input is not where `inputs_from` says.
    """
    streams = [_at_hand(stream) for stream in spec.streams]  # First: what cannot be had is told before anything runs.
    modules.install(_content(spec.sources))
    for module in spec.modules:
        arrivals.namespace[module.name] = _imported(module.module)
    for names, pickles, buffers in (_Ready(spec.names, spec.values, []), *streams):
        for name, value in load_values(pickles, names, arrivals, buffers=buffers):
            arrivals.namespace[name] = value


class _Ready(NamedTuple):
    """A `Stream` whose bytes are here."""

    names: list[str]
    pickles: bytes | bytearray
    buffers: list[memoryview]


def _at_hand(stream: Stream) -> _Ready:
    pieces = [memoryview(_writable(_content(piece))) for piece in stream.pieces]
    buffers = [pieces[place.piece][place.start : place.start + place.size] for place in stream.buffers]
    return _Ready(stream.names, _content(stream.pickles), buffers)


def _content(piece: Piece) -> bytes | bytearray:
    return read_input(piece.sha256) if piece.sha256 else piece.content


def _writable(content: bytes | bytearray) -> bytearray:
    # Arrays that could be written to at home can be written to here; pickle knows which those are.
    return content if isinstance(content, bytearray) else bytearray(content)


def _imported(name: str) -> types.ModuleType:
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        # The notebook has it, the worker has not: the frames of the import machinery would tell nobody anything.
        raise error.with_traceback(None) from None


class CellCode(NamedTuple):
    """A compiled cell: its statements, and the expression that it ends with, if it does."""

    statements: types.CodeType
    last: types.CodeType | None

    def run(self, namespace: dict[str, Any]) -> Any:
        """Run it and return the value of its last expression, None if it ends with something else."""
        _run(self.statements, namespace)
        return None if self.last is None else _run(self.last, namespace)


def compile_cell(spec: CellSpec, watch: Callable[[ast.Module], ast.Module] | None = None) -> CellCode:
    """Return the cell, ready to run; tracebacks have its lines from now on. `watch` may change its statements."""
    remember_text(spec.filename, spec.text or spec.source)
    tree = ast.parse(spec.source, spec.filename)
    if watch is not None:
        tree = watch(tree)
    last = tree.body[-1] if tree.body else None
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT | spec.flags | future_flags(tree)
    if not isinstance(last, ast.Expr):
        return CellCode(compile(tree, spec.filename, "exec", flags=flags, dont_inherit=True), None)
    tree.body.pop()
    return CellCode(
        compile(tree, spec.filename, "exec", flags=flags, dont_inherit=True),
        compile(ast.Expression(last.value), spec.filename, "eval", flags=flags, dont_inherit=True),
    )


def _run(code: types.CodeType, namespace: dict[str, Any]) -> Any:
    result = eval(code, namespace)  # noqa: S307 - running the user's code is what this is for
    return _finished(result) if code.co_flags & inspect.CO_COROUTINE else result


def _finished(coroutine: Any) -> Any:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(coroutine)
    with ThreadPoolExecutor(1) as other:  # A kernel's own loop runs already, and is not ours to stop.
        return other.submit(asyncio.run, coroutine).result()


def pickle_last_value(value: Any, arrivals: Arrivals, room: int) -> tuple[bytes | None, str]:
    """Return the pickle of the last expression's value, or None and why it stays behind. `room`: bytes that it may have."""
    try:
        return pickled_last_value(value, arrivals, room), ""
    except NoRoom:
        return None, TOO_LARGE
    except Exception as error:  # noqa: BLE001 - any class may refuse to be pickled; it is shown all the same
        return None, str(error)


def pickled_last_value(value: Any, arrivals: Arrivals, room: int) -> bytes:
    """Return the pickle of the last expression's value. Raises `NoRoom` if it is larger, and whatever the value's classes raise."""
    pickler = _LastValuePickler(arrivals, Bounded(room))
    pickler.add(value)
    return pickler.getvalue()


class _LastValuePickler(CellPickler):
    """For values that nobody asked for. Figures and what is in them are shown, which is what they are for.

    Sent back, they would make the notebook import matplotlib and perhaps show the figure again.
    """

    def reducer_override(self, thing: Any) -> Any:
        artist = sys.modules.get("matplotlib.artist")
        if artist is not None and isinstance(thing, artist.Artist):
            raise TypeError("it is part of a figure; assign it and name it with -o to have it sent")
        return super().reducer_override(thing)
