"""`remotely`: a ``with`` block whose body runs on an endpoint instead of here.

>>> from funcx_jupyter import remotely
>>> with remotely("theta", outputs=["fit"]) as there:
...     fit = train(df)               # runs there, with what it uses of the variables here
...     fit.score(df)
>>> there.value, fit

Theory of operation. Python has no way to skip the body of a ``with`` statement, but it has one to be told before each line:
entering sets a trace function for this one frame, which raises as soon as the first line of the body is about to run. That
exception is inside of the ``with``, so leaving sees it, sends the body's source as a cell, and swallows it. A debugger or a
measurement of coverage that traces by the same means is put back afterwards.
"""

from __future__ import annotations

import ast
import io
import linecache
import sys
import tokenize
from collections.abc import Callable, Iterable
from types import FrameType, TracebackType
from typing import Any, Final, Self

import msgspec

from funcx_core.errors import UsageError
from funcx_jupyter import library
from funcx_jupyter.options.cell import CellOptions
from funcx_jupyter.session.environment import STRICT
from funcx_jupyter.session.prepare import CellText

_MULTI_LINE: Final = {getattr(tokenize, name) for name in ("STRING", "FSTRING_MIDDLE") if hasattr(tokenize, name)}

Position = tuple[int | None, int | None, int | None, int | None]
"""First and last line, first and last column, as `types.CodeType.co_positions` has them."""


class Block(msgspec.Struct, frozen=True):
    """The body of a ``with`` statement: its lines from `first` to `last`, without their common indentation."""

    first: int
    last: int
    body: str


class _SkipBody(BaseException):
    """The body is about to run here. No ``except`` of the user's comes before the ``with`` sees it."""


class Remotely:
    """Made by `remotely`.

    Attributes:
        value: of the last expression of the body.
        outputs: the variables that came back, by name.
    """

    def __init__(self, options: CellOptions, *, quiet: bool) -> None:
        self.value: Any = None
        self.outputs: dict[str, Any] = {}
        self._options = options
        self._quiet = quiet

    def __enter__(self) -> Self:
        self._frame = frame = sys._getframe(1)  # noqa: SLF001 - the body's source and variables are the caller's
        self._block = _block_of(frame)
        self._tracing = (sys.gettrace(), frame.f_trace, frame.f_trace_lines)
        frame.f_trace, frame.f_trace_lines = self._before_line, True
        if sys.gettrace() is None:  # A frame's own function is only called while there is one for all.
            sys.settrace(_trace_nothing)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        general, self._frame.f_trace, self._frame.f_trace_lines = self._tracing
        sys.settrace(general)
        frame = self._frame
        del self._frame  # It has a reference to this.
        if kind is not _SkipBody:
            return False
        try:
            self._run(frame)
        except BaseException as failure:
            failure.__suppress_context__ = True  # It came after what skipped the body, which is nobody's business.
            raise
        return True

    def _before_line(self, frame: FrameType, event: str, argument: object) -> Callable[..., Any]:
        del argument
        if event == "line" and self._block.first <= frame.f_lineno <= self._block.last:
            raise _SkipBody
        return self._before_line

    def _run(self, frame: FrameType) -> None:
        variables = {**frame.f_globals, **frame.f_locals}
        shown = "\n" * (self._block.first - 1) + self._block.body
        text = CellText(
            visible=shown,
            body=self._block.body,
            first_line=self._block.first,
            filename=frame.f_code.co_filename,
            numbers=library.numbers_here(),
        )
        run = library.run_of(text, self._options, variables)
        finished = run.run(variables, library.place(), library.screen(quiet=self._quiet))
        self.value = finished.value
        self.outputs = {name: variables[name] for name in self._options.outputs}
        if frame.f_locals is frame.f_globals:
            frame.f_globals.update(self.outputs)


def remotely(
    endpoint: str | None = None,
    *,
    inputs: Iterable[str] | None = None,
    exclude: Iterable[str] = (),
    outputs: Iterable[str] = (),
    timeout: float | None = None,
    retries: int = 0,
    env: str = STRICT,
    quiet: bool = True,
) -> Remotely:
    """Make the body of a ``with`` run on an endpoint instead of here.

    The body begins on a line of its own. Variables in `outputs` are assigned in a module or notebook; within a function, whose
    variables nobody else can assign, they are in ``there.outputs``. For the arguments see `cell`.

    The statement raises UsageError if its source cannot be had or its form is one that cannot be skipped; SyntaxError, CaptureError
    and EnvironmentMismatch before anything is sent (``return``, ``yield`` and ``break`` cannot leave the body); and what the body
    raised there, when nothing is assigned.
    """
    options = CellOptions(
        endpoint=endpoint,
        inputs=None if inputs is None else tuple(inputs),
        exclude=tuple(exclude),
        outputs=tuple(outputs),
        walltime=timeout,
        retries=retries,
        env=env,
    )
    return Remotely(options, quiet=quiet)


def find_block(source: str, position: Position) -> Block:
    """Return the body of the ``with`` statement that is entered at `position` of `source`.

    Raises:
        UsageError: it has no body of its own lines, or enters several things.
        SyntaxError: `source` is no Python.
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.With) and position in _positions(node):
            break
    else:
        raise UsageError("`remotely` runs the body of a `with` statement: write `with remotely(...):`.")
    first, last = node.body[0].lineno, node.body[-1].end_lineno or node.body[-1].lineno
    if isinstance(node.body[0], ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        first = min([first, *(decorator.lineno for decorator in node.body[0].decorator_list)])
    header = node.items[-1].optional_vars or node.items[-1].context_expr
    if len(node.items) > 1 or first <= (header.end_lineno or header.lineno):
        raise UsageError("`with remotely(...):` stands alone on its line, and its body begins on the next one.")
    return Block(first, last, _without_indentation(source.splitlines(keepends=True)[first - 1 : last]))


def _positions(node: ast.With) -> list[Position]:
    """Return how the entering of a ``with`` is placed: as the whole statement until Python 3.12, then as what is entered."""
    places: list[ast.With | ast.expr] = [node, *(item.context_expr for item in node.items)]
    return [(place.lineno, place.end_lineno, place.col_offset, place.end_col_offset) for place in places]


def _without_indentation(lines: list[str]) -> str:
    """Return the lines moved to the left, but for those that begin within a text over several lines."""
    width = len(lines[0]) - len(lines[0].lstrip())
    inside: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO("if 1:\n" + "".join(lines)).readline):
        if token.type in _MULTI_LINE:
            inside.update(range(token.start[0] + 1, token.end[0] + 1))
    return "".join(
        line if number in inside or line[:width].strip() else line[width:] or "\n"
        for number, line in enumerate(lines, start=2)
    )


def _block_of(frame: FrameType) -> Block:
    code = frame.f_code
    source = "".join(linecache.getlines(code.co_filename, frame.f_globals))
    if not source:
        raise UsageError(f"The source of {code.co_filename} cannot be had. Use `cell` with the source as text.")
    position = list(code.co_positions())[frame.f_lasti // 2]
    try:
        return find_block(source, position)
    except SyntaxError:
        return find_block(_transformed(source), position)


def _transformed(source: str) -> str:
    """Return a cell of a notebook as Python: it may have lines of magics, too."""
    interactive = sys.modules.get("IPython")
    shell = None if interactive is None else interactive.get_ipython()
    return source if shell is None else str(shell.transform_cell(source))


def _trace_nothing(frame: FrameType, event: str, argument: object) -> None:
    """Trace no call."""
