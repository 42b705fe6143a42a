"""How a shell shows exceptions of cells that ran elsewhere where it would not ask them how: some classes, and `%debug`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from funcx_core.serialize import RemoteInfo
from funcx_jupyter.display import words


class PostMortem:
    """Takes the place of two methods of a shell, from `install` to `uninstall`."""

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self._show: Callable[..., None] = shell.showtraceback
        self._debug: Callable[..., None] = shell.debugger

    def install(self) -> None:
        """Begin."""
        self._shell.showtraceback, self._shell.debugger = self._show_traceback, self._debugger

    def uninstall(self) -> None:
        """Let the shell be as it was."""
        for name in ("showtraceback", "debugger"):
            vars(self._shell).pop(name, None)

    def _show_traceback(self, exc_tuple: Any = None, *args: Any, **options: Any) -> None:
        """IPython prints groups, usage errors and syntax errors by itself, some as no real error: Run All and papermill would go on."""
        error = sys.exc_info()[1] if exc_tuple is None else exc_tuple[1]
        error = error or getattr(sys, "last_value", None)
        render = getattr(error, "_render_traceback_", None)
        if not isinstance(getattr(error, "funcx", None), RemoteInfo) or render is None or options.get("exception_only"):
            self._show(exc_tuple, *args, **options)
            return
        kind, value, _ = self._shell._get_exc_info(exc_tuple)  # noqa: SLF001 - it keeps the error for `%tb`; there is no public one
        self._shell._showtraceback(kind, value, render())  # noqa: SLF001 - the one way to a real `error` output
        if self._shell.call_pdb:
            self._debugger(force=True)

    def _debugger(self, force: bool = False) -> None:
        """The frames of a task have ended with it; a debugger would show those of ours, which waited for it."""
        remote = getattr(getattr(sys, "last_value", None), "funcx", None)
        if not isinstance(remote, RemoteInfo):
            self._debug(force=force)
        elif force or self._shell.call_pdb:
            print(last_words(remote))  # noqa: T201 - as a debugger does


def last_words(remote: RemoteInfo) -> str:
    """Return what can be said of the last frame of a task, instead of entering it."""
    task = f"task {words.short_id(remote.task_id)}" if remote.task_id else "the task"
    place = f" on {remote.endpoint}" if remote.endpoint else ""
    head = f"The frames of {task} ended with it{place} and cannot be entered from here; `exc.funcx.locals` holds what is below."
    if not remote.locals:
        return f"{head}\nNo variables of the last frame are known."
    name = str(remote.details.get("locals_of") or "<module>")
    where = "the cell" if name == "<module>" else f"{name}()"
    width = max(len(one) for one in remote.locals)
    return "\n".join(
        [head, f"Variables of {where}:", *(f"  {one:<{width}} = {text}" for one, text in remote.locals.items())]
    )
