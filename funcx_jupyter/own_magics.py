"""Magics of the user's own: `%%gpu` for `%%funcx theta -t 60`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from IPython.core.magic import needs_local_scope, no_var_expand, output_can_be_silenced

from funcx_core.errors import FuncxError
from funcx_jupyter.errors import MagicArgumentError
from funcx_jupyter.options import parser

_NAME: Final = re.compile(r"[^\W\d]\w*")


class OwnMagics:
    """Those of one shell.

    Args:
        shell: IPython's.
        run: runs a line, or a cell if there is one, with the options that the magic stands for and the variables at hand.

    Attributes:
        lines: what each stands for: an endpoint and options, as they would be after `%%funcx`.
    """

    def __init__(self, shell: Any, run: Callable[..., Any]) -> None:
        self.lines: dict[str, str] = {}
        self._shell = shell
        self._run = run

    def add(self, name: str, line: str) -> None:
        """Let `%%name` and `%name` stand for `%%funcx LINE`.

        Raises:
            MagicArgumentError: the line is wrong, or the name is no name or another magic's.
        """
        if not _NAME.fullmatch(name):
            raise MagicArgumentError(f"`{name}` cannot be the name of a magic: it has letters, digits and `_`.")
        taken = any(name in known for known in self._shell.magics_manager.magics.values())
        if taken and name not in self.lines:
            raise MagicArgumentError(f"`{name}` is a magic already. Choose another name.")
        given = parser.given(line)

        @no_var_expand  # type: ignore[untyped-decorator]
        @output_can_be_silenced  # type: ignore[untyped-decorator]
        @needs_local_scope  # type: ignore[untyped-decorator]
        def magic(line: str, cell: str | None = None, local_ns: dict[str, Any] | None = None) -> Any:
            return self._run(line, cell, local_ns, given)

        magic.__doc__ = (
            f"Run this cell, or the expression in this line, as `%%funcx {line}` does. Further options may follow."
        )
        self._shell.register_magic_function(magic, "line_cell", name)
        self.lines[name] = line

    def add_saved(self, lines: Mapping[str, str]) -> list[str]:
        """Add what was saved; return what is wrong with those that cannot be."""
        faults = []
        for name, line in lines.items():
            try:
                self.add(name, line)
            except FuncxError as error:
                faults.append(f"The saved magic `%%{name}` cannot be used: {error}")
        return faults

    def remove(self, name: str) -> None:
        """Take one back.

        Raises:
            MagicArgumentError: there is none of that name.
        """
        if self.lines.pop(name, None) is None:
            raise MagicArgumentError(f"There is no magic `%%{name}` of yours. `%funcx magic` lists them.")
        for known in self._shell.magics_manager.magics.values():
            known.pop(name, None)

    def remove_all(self) -> None:
        """Take all back."""
        for name in list(self.lines):
            self.remove(name)
