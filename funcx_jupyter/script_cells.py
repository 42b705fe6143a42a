"""Cells of shell commands: ``%%funcx --shell``.

Such a cell becomes a cell of one Python expression that runs it. So whatever is true of cells, of output, cancelling and attaching
again, is true of these.
"""

from __future__ import annotations

from pathlib import PurePath
from typing import Final

from msgspec import structs

from funcx_jupyter.capture.values import Notebook
from funcx_jupyter.errors import CaptureError, MagicArgumentError
from funcx_jupyter.options.cell import CellOptions

_PLAIN: Final = (str, int, float, PurePath)


def python_for(script: str, options: CellOptions, notebook: Notebook) -> tuple[str, CellOptions]:
    """Return a Python cell that runs `script`, and the options for it.

    Args:
        script: the cell as it was written.
        options: those of the cell; variables that they name become variables of the script's environment.
        notebook: where the variables are.

    Raises:
        MagicArgumentError: an option that has no meaning here.
        CaptureError: a variable that is no text, number or path.
    """
    if options.outputs or options.refs:
        raise MagicArgumentError(
            f"Argument {'-o/--output' if options.outputs else '--ref'}: a shell cell has no variables that could come back. Write to a file, or use "
            "`ShellFunction` in a cell of Python. See `%%funcx?`."
        )
    names = tuple(name for name in options.inputs or () if name not in options.exclude)
    for name in names:
        _check(name, notebook)
    if options.map is not None:
        names = (*names, options.map.variable)  # It is there for each element, not here.
    variables = ", ".join(f"{name!r}: {name}" for name in names)
    run = '__import__("funcx_core.commands.script", fromlist=["run_script"]).run_script'
    return f"{run}({script!r}, {{{variables}}})\n", structs.replace(options, inputs=names, exclude=())


def _check(name: str, notebook: Notebook) -> None:
    if not name.isidentifier():
        raise MagicArgumentError(
            f"Argument -i/--input: name the variables of a shell cell one by one, not `{name}`. See `%%funcx?`."
        )
    if not notebook.has(name):
        return  # The capture says so, and what was probably meant.
    value = notebook.namespace[name]
    if not isinstance(value, _PLAIN):
        kind = f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")
        raise CaptureError(f"`{name}` ({kind}) cannot be a variable of a shell: only text, numbers and paths can.")
