"""A notebook cell of shell commands, where it runs."""

from __future__ import annotations

import os
from collections.abc import Mapping

from funcx_core.commands.function import ShellFunction
from funcx_core.commands.result import ShellResult


def run_script(text: str, variables: Mapping[str, object]) -> None:
    """Run a script, which is shown as it prints.

    Args:
        text: the script; braces in it are its own.
        variables: for its environment, as text. They stay in that of this process: a worker forgets them after its task.

    Raises:
        CommandFailed: its exit code is not 0.
    """
    os.environ.update({name: str(value) for name, value in variables.items()})
    result = ShellFunction("{script:raw}")(script=text)
    assert isinstance(result, ShellResult)  # noqa: S101 - no dict was asked for
    result.check_returncode()
