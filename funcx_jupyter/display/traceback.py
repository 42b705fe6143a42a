"""The exception of a cell that ran elsewhere, shown with the lines of the visible cell.

Frames travel as file name, line and function. Here each becomes a real frame object again, of a stand-in for the
function; so IPython renders the traceback itself, in its own colours and with the lines of the cells.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Sequence
from functools import partial
from types import CodeType, FrameType, TracebackType
from typing import Any, Final

from funcx_core.cells.sources import cell_text, parse_cell
from funcx_core.protocol.task import Frame
from funcx_core.serialize import RemoteInfo, RemoteTraceback
from funcx_core.serialize.exceptions import CAUSE, CONTEXT

_TOP_LEVEL: Final = "<module>"
_FIRST: Final = 4
_LAST: Final = 6
"""Frames that are shown of a traceback that is too long to read."""
_MOST_MEMBERS: Final = 15


def arrange(error: BaseException, shell: Any, *, where: str, verbose: bool) -> BaseException:
    """Return `error`, told to show itself as if the cell had raised it here.

    Args:
        error: what the task raised; its attribute `funcx` has the frames.
        shell: the IPython shell, which knows the cells by their file names.
        where: endpoint, host and task, for the last line.
        verbose: whether to show frames of libraries.
    """
    remote = getattr(error, "funcx", None)
    frames = _from_cell_on(remote.frames, shell) if isinstance(remote, RemoteInfo) else []
    shown = frames if verbose else [frame for frame in frames if _is_cell(shell, frame)]
    if frames and frames[-1] not in shown:
        where = f"raised in {_short_path(frames[-1])} · {where}"
    shown, left_out = _readable(shown)
    where = " · ".join([*left_out, where])
    if isinstance(error.__cause__, RemoteTraceback):
        error.__cause__ = None  # The frames say the same.
    error.__suppress_context__ = True
    if isinstance(remote, RemoteInfo):
        _bring_together(error, remote, shell, verbose=verbose)
    render = partial(_render, error, build_traceback(shown), shell, where)
    error._render_traceback_ = render  # type: ignore[attr-defined]
    return error


def _bring_together(error: BaseException, remote: RemoteInfo, shell: Any, *, verbose: bool) -> None:
    """Give the exception its causes and contexts, and each of them and of the members of groups its own lines."""
    for one in remote.related:
        owner = error if one.of < 0 else remote.related[one.of].error
        own = getattr(one.error, "funcx", None)
        frames = _from_cell_on(own.frames, shell) if isinstance(own, RemoteInfo) else []
        shown, _ = _readable(frames if verbose else [frame for frame in frames if _is_cell(shell, frame)])
        # A user's class may have an opinion of its own on what is assigned.
        object.__setattr__(one.error, "__traceback__", build_traceback(shown))
        if one.how == CAUSE:
            object.__setattr__(owner, "__cause__", one.error)
        elif one.how == CONTEXT:
            object.__setattr__(owner, "__context__", one.error)
            object.__setattr__(owner, "__suppress_context__", False)


def _readable(frames: list[Frame]) -> tuple[list[Frame], list[str]]:
    """Return the frames to show, and what is said of those that are not."""
    told = [f"{frame.name}() called itself {frame.times - 1:,} times" for frame in frames if frame.times > 1]
    if len(frames) <= _FIRST + _LAST:
        return frames, told
    between = sum(frame.times for frame in frames[_FIRST:-_LAST])
    return [*frames[:_FIRST], *frames[-_LAST:]], [f"{between:,} frames between are not shown"]


def _from_cell_on(frames: Sequence[Frame], shell: Any) -> list[Frame]:
    """Return the frames without those of the worker, which come before the first of a cell."""
    first = next((index for index, frame in enumerate(frames) if _is_cell(shell, frame)), len(frames))
    return list(frames[first:])


def _short_path(frame: Frame) -> str:
    # The file is on another machine: what follows site-packages says enough.
    parts = frame.filename.replace("\\", "/").split("/")
    return f"{'/'.join(parts[-2:])}:{frame.line}, {frame.name}()"


def _is_cell(shell: Any, frame: Frame) -> bool:
    return frame.filename in shell.compile._filename_map  # noqa: SLF001 - IPython's own record, there is no public one


def build_traceback(frames: Sequence[Frame]) -> TracebackType | None:
    """Return a traceback whose frames have these file names, lines and functions."""
    trace: TracebackType | None = None
    for frame in reversed(frames):
        code = _stand_in_code(frame)
        stand_in = _stand_in(code)
        trace = TracebackType(trace, stand_in, stand_in.f_lasti, max(frame.line, 1))
    return trace


def _stand_in_code(frame: Frame) -> CodeType:
    """Return code whose frame looks like `frame`, to all who ask a frame where it is."""
    line = max(frame.line, 1)
    first = min(first_line(frame), line)
    source = "\n" * (line - first) + "frames.append(currentframe())"
    code: CodeType = compile(source, frame.filename, "exec").replace(
        co_name=frame.name, co_qualname=frame.name, co_firstlineno=first
    )
    return code


def _stand_in(code: CodeType) -> FrameType:
    frames: list[FrameType] = []
    exec(code, {"frames": frames, "currentframe": lambda: sys._getframe(1)})  # noqa: S102, SLF001
    return frames[0]


def first_line(frame: Frame) -> int:
    """Return where the function of `frame` begins, 1 for top-level code.

    IPython counts the lines it shows from there.
    """
    if frame.name == _TOP_LEVEL:
        return 1
    text = cell_text(frame.filename)
    tree = parse_cell(text) if text else None
    if tree is None:
        return frame.line
    nodes = (node for node in ast.walk(tree) if isinstance(node, ast.stmt | ast.expr) and _name(node) == frame.name)
    starts = [node.lineno for node in nodes if node.lineno <= frame.line <= (node.end_lineno or node.lineno)]
    return max(starts, default=frame.line)


def _name(node: ast.stmt | ast.expr) -> str | None:
    """Return what Python calls the code of this node."""
    match node:
        case ast.Lambda():
            return "<lambda>"
        case ast.ListComp() | ast.SetComp() | ast.DictComp():
            return f"<{type(node).__name__.lower()}>"
        case ast.GeneratorExp():
            return "<genexpr>"
        case _:
            return getattr(node, "name", None)


def _render(error: BaseException, trace: TracebackType | None, shell: Any, where: str) -> list[str]:
    return [*_shown(error, trace, shell), f"({where})"]


def _shown(error: BaseException, trace: TracebackType | None, shell: Any) -> list[str]:
    shower = shell.InteractiveTB
    if trace is None and error.__cause__ is None and error.__context__ is None:
        lines = shower.get_exception_only(type(error), error)
    else:
        lines = shower.structured_traceback(type(error), error, trace, tb_offset=0)
    return [*lines, *_members(error, shell)] if isinstance(error, BaseExceptionGroup) else list(lines)


def _members(group: BaseExceptionGroup[BaseException], shell: Any) -> list[str]:
    """Return the members of a group, each with its own lines, moved to the right."""
    count, lines = len(group.exceptions), []
    for number, member in enumerate(group.exceptions[:_MOST_MEMBERS], 1):
        lines.append(f"  + {number} of {count}:")
        text = "\n".join(_shown(member, member.__traceback__, shell))
        lines += [f"  | {line}" for line in text.splitlines()]
    if count > _MOST_MEMBERS:
        lines.append(f"  + and {count - _MOST_MEMBERS} more")
    return lines
