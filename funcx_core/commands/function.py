"""`ShellFunction`: a command line that is called like a function."""

from __future__ import annotations

import contextlib
import keyword
import sys
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from funcx_core.commands.process import Sink, run
from funcx_core.commands.result import ShellResult
from funcx_core.commands.running_task import RunningTask, running_task
from funcx_core.commands.tail import Kept, Tail
from funcx_core.commands.template import check_template, fill_in

SNIPPET_LINES: Final = 1000
SNIPPET_BYTES: Final = 1024 * 1024
TIMED_OUT: Final = 124
"""The exit code after the walltime; that of timeout(1)."""
_CALLED_PROCESS_ERROR: Final = "subprocess.CalledProcessError"
_TIMEOUT_EXPIRED: Final = "subprocess.TimeoutExpired"


class ShellFunction:
    """A command line to run on an endpoint; calling it returns a `ShellResult`.

    >>> count = ShellFunction("wc -l {path:q}")
    >>> executor.submit(count, path="/data/my file.csv").result().stdout

    ``{name}`` is replaced by the keyword of that name, by the rules of `str.format`, and the shell reads the outcome. ``{name:q}``
    quotes the value, so that it is one word whatever is in it. Braces of the command itself are written twice.

    The command runs with bash in the folder of its task, without standard input. What it writes is shown while it runs, like what a
    function prints. An exit code other than 0 is no exception. When the task is cancelled or interrupted, all processes of the
    command end with it.

    Args:
        cmd: the command, or a script of several lines.
        stdout: a file to append the standard output to; folders are made. Without it there is one if the output is too long for
            the result, named by the task.
        stderr: the same for standard error.
        walltime: seconds after which the command is stopped, with exit code 124.
        snippet_lines: lines of each output that come back with the result.
        name: a name of the function, for people.
        return_dict: return a dict of the fields of a `ShellResult`, for clients that do not have this package.
        quote: quote all values; ``{name:raw}`` is not quoted then.
        snippet_bytes: bytes of each output that come back at most.
        run_in_sandbox: run in a folder of the task's own, also where the endpoint gives tasks none. It is removed if it stays empty.
    """

    def __init__(  # noqa: PLR0917 - the documented order of arguments
        self,
        cmd: str,
        stdout: str | None = None,
        stderr: str | None = None,
        walltime: float | None = None,
        snippet_lines: int = SNIPPET_LINES,
        name: str | None = None,
        return_dict: bool = False,
        *,
        quote: bool = False,
        snippet_bytes: int = SNIPPET_BYTES,
        run_in_sandbox: bool = False,
    ) -> None:
        if walltime is not None and not walltime > 0:
            raise ValueError(f"walltime is {walltime}; it must be a positive number of seconds.")
        if snippet_lines < 0 or snippet_bytes < 0:
            raise ValueError("snippet_lines and snippet_bytes must not be negative.")
        check_template(cmd)
        self.cmd = cmd
        self.stdout = stdout
        self.stderr = stderr
        self.walltime = walltime
        self.snippet_lines = snippet_lines
        self.return_dict = return_dict
        self.quote = quote
        self.snippet_bytes = snippet_bytes
        self.run_in_sandbox = run_in_sandbox
        self.__name__ = _checked_name(name or type(self).__name__)

    def __call__(self, **values: Any) -> ShellResult | dict[str, Any]:
        """Run the command here, with these values in their places.

        Raises:
            TypeError: a value is missing.
            UsageError: the command cannot be started.
            OSError: a file or folder for it cannot be made.
        """
        return self._run(fill_in(self.cmd, values, quote=self.quote), running_task())

    def _run(self, command: str, task: RunningTask | None) -> ShellResult | dict[str, Any]:
        with self._folder(task) as folder:
            result = self._run_in(folder, command, task)
        return result.to_dict() if self.return_dict else result

    def _run_in(self, folder: Path, command: str, task: RunningTask | None) -> ShellResult:
        stem = f"{task.task_id if task else uuid.uuid4().hex[:10]}."
        out, err = (
            Tail(lines=self.snippet_lines, size=self.snippet_bytes, folder=folder, name=(stem, f".{name}"), path=path)
            for name, path in (("stdout", self.stdout), ("stderr", self.stderr))
        )
        try:
            ending = run(
                command,
                # Outside of a worker it is a call like `subprocess.run`, which prints nothing.
                stdout=Sink(out, sys.stdout.write if task else None),
                stderr=Sink(err, sys.stderr.write if task else None),
                walltime=self.walltime,
                folder=folder,
                environment=_environment(task),
            )
        finally:
            stdout, stderr = out.close(), err.close()
        code = TIMED_OUT if ending.is_timed_out else ending.returncode
        failure = _TIMEOUT_EXPIRED if ending.is_timed_out else _CALLED_PROCESS_ERROR if code else None
        return ShellResult(
            command,
            stdout.text,
            stderr.text + _notes(stdout=stdout, stderr=stderr),
            code,
            failure,
            stdout.path,
            stderr.path,
        )

    @contextlib.contextmanager
    def _folder(self, task: RunningTask | None) -> Iterator[Path]:
        here = Path.cwd()
        if not self.run_in_sandbox or (task and task.has_own_folder):
            yield here
            return
        own = here / (task.task_id if task else uuid.uuid4().hex)
        own.mkdir(mode=0o700, exist_ok=True)
        try:
            yield own
        finally:
            with contextlib.suppress(OSError):  # It is not empty: that is what it is for.
                own.rmdir()

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        # Whoever pickled it may know fewer options than this version.
        self.__dict__.update(quote=False, snippet_bytes=SNIPPET_BYTES, run_in_sandbox=False)
        self.__dict__.update(state)

    def __repr__(self) -> str:
        shown = {"cmd": self.cmd, "name": self.__name__ if self.__name__ != type(self).__name__ else None}
        shown |= {name: value for name, value in self.__dict__.items() if name not in {"cmd", "__name__"} and value}
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in shown.items() if v is not None)})"


def _environment(task: RunningTask | None) -> dict[str, str]:
    if task is None:
        return {}
    # Scripts for published endpoints know the second name.
    return {"FUNCX_TASK_ID": task.task_id, "GC_TASK_UUID": task.task_id}


def _notes(**kept: Kept) -> str:
    return "".join(
        f"\n[funcX could not keep the whole {name} in a file: {one.failure}]"
        for name, one in kept.items()
        if one.failure
    )


def _checked_name(name: str) -> str:
    if not name.isidentifier() or keyword.iskeyword(name):
        raise ValueError(f"name is {name!r}; it must be a name that a Python function may have.")
    return name
