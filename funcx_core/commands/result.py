"""What became of a command."""

from __future__ import annotations

from typing import Any, Final

from funcx_core.errors import CommandFailed

_SHOWN_LINES: Final = 10
_SHOWN_CHARACTERS: Final = 1024


class ShellResult:
    """How a command ended, and the end of what it wrote.

    A command that fails is a result too, not an exception; `check_returncode` makes it one.

    Args:
        cmd: the command line that ran, with its values filled in.
        stdout: the last lines of its standard output.
        stderr: the last lines of its standard error.
        returncode: its exit code; -N if signal N ended it, 124 if its walltime did.
        exception_name: ``subprocess.CalledProcessError`` for any exit code but 0, ``subprocess.TimeoutExpired`` after the walltime.
        stdout_path: the file on the endpoint that has all of the output; None if `stdout` is all of it.
        stderr_path: the same of `stderr`.
    """

    def __init__(  # noqa: PLR0917 - the documented order of arguments
        self,
        cmd: str,
        stdout: str,
        stderr: str,
        returncode: int,
        exception_name: str | None = None,
        stdout_path: str | None = None,
        stderr_path: str | None = None,
    ) -> None:
        self.cmd = cmd
        self.stdout = stdout
        self.stderr = stderr
        self.returncode = returncode
        self.exception_name = exception_name
        self.stdout_path = stdout_path
        self.stderr_path = stderr_path

    def check_returncode(self) -> None:
        """Return if the command succeeded.

        Raises:
            CommandFailed: it did not.
        """
        if self.returncode:
            raise CommandFailed(_why(self), details={"returncode": self.returncode})

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain data that fits into JSON."""
        return dict(self.__dict__)

    def __reduce__(self) -> tuple[Any, ...]:
        # As a call with plain arguments: that is what clients accept of endpoints they do not trust.
        return type(self), (
            self.cmd,
            self.stdout,
            self.stderr,
            self.returncode,
            self.exception_name,
            self.stdout_path,
            self.stderr_path,
        )

    def __eq__(self, other: object) -> bool:
        return self.__dict__ == other.__dict__ if isinstance(other, ShellResult) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # its fields may be changed

    def __str__(self) -> str:
        text = f"exit code: {self.returncode}\n   stdout:\n{_end_of(self.stdout, 'stdout')}"
        if self.returncode:
            text += f"\n\n   stderr:\n{_end_of(self.stderr, 'stderr')}"
        if self.exception_name:
            text += f"\n\nexception: {self.exception_name}"
        return text

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={value!r}" for name, value in self.__dict__.items() if value is not None)
        return f"{type(self).__name__}({fields})"


def _end_of(text: str, name: str) -> str:
    text = text.strip("\n").rstrip()
    shown = "\n".join(text[-_SHOWN_CHARACTERS:].splitlines()[-_SHOWN_LINES:])
    return shown if shown == text else f"[... the end of it; .{name} has more ...]\n{shown}"


def _why(result: ShellResult) -> str:
    last = result.stderr.strip().rpartition("\n")[2][:200]
    return f"`{_first_line(result.cmd)}` {_ending(result)}{f': {last}' if last else '.'}"


def _first_line(command: str) -> str:
    line, _, more = command.strip().partition("\n")
    return line[:80] + (" …" if more or len(line) > 80 else "")  # noqa: PLR2004 - the width of a terminal


def _ending(result: ShellResult) -> str:
    if result.exception_name == "subprocess.TimeoutExpired":
        return "ran into its walltime and was stopped"
    if result.returncode < 0:
        return f"was ended by signal {-result.returncode}"
    return f"ended with exit code {result.returncode}"
