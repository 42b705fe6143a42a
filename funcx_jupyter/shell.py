"""What the magics need of IPython's shell, in one place, because little of it has a public interface.

Tried on IPython 9.18 with ipykernel 7.4 (`make test`), and on IPython 8.18 with ipykernel 6.29 (`make test-old-ipython`); what
differs between them is said where it matters.
"""

from __future__ import annotations

import os
import sys
import tokenize
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from IPython.core.displayhook import DisplayHook
from IPython.utils.capture import capture_output

from funcx_core.cells.sources import FUTURE
from funcx_core.cells.spec import Bundle, FigureStyle
from funcx_jupyter.capture.values import Notebook
from funcx_jupyter.session.prepare import CellText
from funcx_jupyter.session.recall import CellPlace


def notebook_of(shell: Any, local: dict[str, Any] | None = None) -> Notebook:
    """Return the user's namespace; `local`: the variables of the function that a line is in, if it is in one."""
    if local is None or local is shell.user_ns:
        return Notebook(shell.user_ns, shell.user_ns_hidden)
    return Notebook({**shell.user_ns, **local}, shell.user_ns_hidden)


def cell_text(shell: Any, line: str, body: str, *, code: str | None = None) -> CellText:
    """Return the running `%%funcx` cell; `line` and `body` are what the magic got.

    The shell gets to know the visible text under the file name, so that tracebacks show it. `code` is what runs instead of a body
    that is not Python.
    """
    visible = _visible_text(shell, line, body)
    number = _running_cell_number(shell)
    filename = shell.compile.cache(visible, number, raw_code=visible)
    above = visible.count("\n") - body.rstrip("\n").count("\n")
    blank = len(body) - len(body.lstrip("\n"))
    translated = code or shell.transform_cell(body)  # It drops blank lines at the top.
    return CellText(
        visible=visible,
        body=translated,
        first_line=above + 1 + body[:blank].count("\n"),
        filename=filename,
        silent=code is None and _ends_with_semicolon(body),
        flags=shell.compile.flags & FUTURE,
        numbers=numbers_of_cells(shell),
    )


def _ends_with_semicolon(body: str) -> bool:
    try:
        return bool(DisplayHook.semicolon_at_end_of_expression(body))
    except (tokenize.TokenError, SyntaxError):
        return False  # It will not compile, and the compiler says better what is wrong.


def line_text(shell: Any, line: str, code: str, *, silent: bool) -> CellText:
    """Return a running `%funcx` line that is to run `code`, with the number of the line in its cell."""
    frame = _running_frame(shell)
    history = shell.history_manager.input_hist_raw
    visible = history[-1].rstrip() if history else ""
    lines = visible.splitlines()
    blank = next((count for count, text in enumerate(lines) if text.strip()), 0)  # The shell drops those at the top.
    row = 1 if frame is None else frame.f_lineno + blank
    if row > len(lines) or line.strip() not in lines[row - 1]:
        visible, row = f"%funcx {line}", 1  # The line is elsewhere: in a function of another cell, in a script.
    number = _running_cell_number(shell)
    filename = shell.compile.cache(visible, number, raw_code=visible)
    return CellText(
        visible=visible,
        body=code,
        first_line=row,
        filename=filename,
        silent=silent,
        numbers=numbers_of_cells(shell),
    )


def _visible_text(shell: Any, line: str, body: str) -> str:
    """Return the cell as the user sees it. There may be other magics, such as `%%time`, above `%%funcx`."""
    history = shell.history_manager.input_hist_raw
    last = history[-1].rstrip() if history else ""
    if last.endswith(body.rstrip()) and ("%%" in last or last == body.rstrip()):
        return str(last)  # The whole of it may have been sent, by `%funcx auto on`.
    return f"%%funcx {line}\n{body.rstrip()}"  # Run without history, as `store_history=False` does.


def _running_cell_number(shell: Any) -> int:
    """Return N of ``In[N]``. `execution_count` has been raised already on IPython 9, not on 8; the frames know."""
    frame = _running_frame(shell)
    if frame is None:
        return int(shell.execution_count)
    return numbers_of_cells(shell)[frame.f_code.co_filename]


def numbers_of_cells(shell: Any) -> dict[str, int]:
    """Return N of ``In[N]`` of each cell, by the name of the file in which the shell compiles it."""
    numbers: dict[str, int] = shell.compile._filename_map  # noqa: SLF001 - IPython's own record, there is no public one
    return numbers


def _running_frame(shell: Any) -> FrameType | None:
    """Return the innermost frame of a cell; None in a cell that is only a magic, which has no frame yet."""
    names = numbers_of_cells(shell)
    frame: FrameType | None = sys._getframe()  # noqa: SLF001 - documented for debuggers, which is what this serves
    while frame is not None and frame.f_code.co_filename not in names:
        frame = frame.f_back
    return frame


def place_of(shell: Any) -> CellPlace:
    """Return where the running cell is."""
    parent = getattr(shell, "parent_header", None) or {}
    cell_id = cell_metadata(shell).get("cellId")
    run_id = (parent.get("header") or {}).get("msg_id") or f"{os.getpid()}:{shell.execution_count}"
    return CellPlace(notebook=_notebook_path(shell), cell_id=str(cell_id or ""), run_id=str(run_id))


def may_ask(shell: Any) -> bool:
    """Whether somebody can be asked for input: not under nbclient and papermill, and in a script only at a terminal."""
    kernel = getattr(shell, "kernel", None)
    if kernel is not None:
        return bool(getattr(kernel, "_allow_stdin", False))  # There is no public one; `input` asks the same.
    return sys.stdin is not None and sys.stdin.isatty()


def cell_metadata(shell: Any) -> dict[str, Any]:
    """Return what the front end tells of the running cell; JupyterLab and Notebook 7 send the whole metadata of the cell."""
    parent = getattr(shell, "parent_header", None) or {}
    found = parent.get("metadata")
    return found if isinstance(found, dict) else {}


def _notebook_path(shell: Any) -> str:
    """Return the path of the notebook, as VS Code or the Jupyter server tell it to the kernel."""
    found = shell.user_ns.get("__vsc_ipynb_file__") or os.environ.get("JPY_SESSION_NAME")
    return str(found or Path.cwd())


def figure_style() -> FigureStyle:
    """Return the notebook's settings for figures: those of its inline backend, and the style it gave matplotlib."""
    config = sys.modules.get("matplotlib_inline.config")
    if config is None:
        return FigureStyle(
            rc=_changed_rc()
        )  # No figure was drawn here; importing it would import matplotlib, a second of work.
    backend = config.InlineBackend.instance()
    return FigureStyle(
        formats=tuple(sorted(backend.figure_formats)),
        print_options=_plain(backend.print_figure_kwargs),
        rc={**_changed_rc(), **_plain(backend.rc)},
    )


_NOT_STYLE = frozenset({"backend", "backend_fallback", "interactive", "toolbar", "timezone", "datapath"})


def _changed_rc() -> dict[str, Any]:
    matplotlib = sys.modules.get("matplotlib")
    if matplotlib is None or not hasattr(matplotlib, "rcParamsDefault"):
        return {}
    default = matplotlib.rcParamsDefault
    current = dict.items(matplotlib.rcParams)  # The plain dict: reading `backend` by key would choose one.
    return _plain({k: v for k, v in current if k not in _NOT_STYLE and k in default and dict.get(default, k) != v})


def _plain(settings: Any) -> dict[str, Any]:
    """Return those settings that can be written down, as they are written in a style sheet."""
    return {key: written for key, value in dict(settings).items() if (written := _written(value)) is not None}


def _written(value: Any) -> Any:
    if isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, list | tuple):
        parts = [_written(part) for part in value]
        return None if None in parts else parts
    return repr(value) if type(value).__name__ == "Cycler" else None  # The colours of lines.


def look_of(shell: Any) -> Callable[[Any], Bundle | None]:
    """Return what makes of a value what it looks like in this shell."""

    def look(value: Any) -> Bundle | None:
        data, metadata = shell.display_formatter.format(value)
        return Bundle(data, metadata) if data else None

    return look


def swallowed() -> Any:
    """Return a context in which nothing is printed or shown; it gives what would have been."""
    return capture_output()


class ValueDisplay:
    """Lets ``Out[n]`` hold the real value of a cell while what is shown is what the worker made of it."""

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self._hook: Any = None

    def expect(self, value: Any, shown: Bundle | None) -> None:
        """When the shell displays `value` next, show `shown`."""
        self.forget()
        hook = self._shell.displayhook
        original = hook.compute_format_data

        def compute_format_data(result: Any) -> tuple[dict[str, Any], dict[str, Any]]:
            self.forget()
            if result is not value:
                formatted: tuple[dict[str, Any], dict[str, Any]] = original(result)
                return formatted
            return (dict(shown.data), dict(shown.metadata)) if shown is not None else ({}, {})

        hook.compute_format_data = compute_format_data
        self._hook = hook

    def forget(self, *_: Any) -> None:
        """Show values as usual again."""
        if self._hook is not None:
            del self._hook.compute_format_data
            self._hook = None


def show_without_frames(shell: Any, error: SyntaxError) -> None:
    """Let the shell show this error of the cell's text without the frames of ours that found it.

    A shell asks other exceptions how to show themselves, but not this one.
    """
    original = shell.SyntaxTB.structured_traceback

    def structured_traceback(etype: Any, value: Any, etb: Any, *args: Any, **options: Any) -> Any:
        del shell.SyntaxTB.structured_traceback
        return original(etype, value, [] if value is error else etb, *args, **options)

    shell.SyntaxTB.structured_traceback = structured_traceback
