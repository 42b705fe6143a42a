"""A command as a group of processes: started, read from, and ended whole.

Theory of operation. The shell leads a session of its own, so one signal reaches all that it started. This thread reads what they
write. The command has ended when the shell has: what it left in the background may hold the pipes for ever, so
after that only what they hold already is read. After the walltime, and when an exception such as `KeyboardInterrupt` arrives,
the group gets SIGTERM, and SIGKILL when it has not ended within `STOP_GRACE`.
"""

from __future__ import annotations

import codecs
import contextlib
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from funcx_core.commands.tail import Tail
from funcx_core.errors import UsageError

STOP_GRACE: Final = 1.0
"""Seconds between SIGTERM and SIGKILL. Less than those after which a manager ends a worker that was interrupted."""
_TICK: Final = 0.1
"""Seconds after which it is noticed that the shell has ended while something in the background holds its output."""
_CHUNK: Final = 64 * 1024
_ROUNDS_AFTER_END: Final = 32
"""A pipe holds a megabyte at most."""
_BASH: Final = "/bin/bash"
_SH: Final = "/bin/sh"


class Ending(NamedTuple):
    """How a command ended: `returncode` as of `subprocess`."""

    returncode: int
    is_timed_out: bool


class Sink:
    """Takes one output: into a `Tail`, and as text to `show`, which is called with whole characters."""

    def __init__(self, tail: Tail, show: Callable[[str], object] | None) -> None:
        self._tail = tail
        self._show = show
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def add(self, chunk: bytes) -> None:
        """Take what was written next; nothing at its end."""
        if self._show is not None and (text := self._decoder.decode(chunk, final=not chunk)):
            self._show(text)
        if chunk:
            self._tail.add(chunk)


def run(
    command: str,
    *,
    stdout: Sink,
    stderr: Sink,
    walltime: float | None,
    folder: Path,
    environment: Mapping[str, str],
) -> Ending:
    """Run a command line with bash (with sh where there is none) until it ends.

    Args:
        command: the line, or a script of several.
        stdout: takes its standard output.
        stderr: takes its standard error.
        walltime: seconds after which it is stopped.
        folder: its working directory.
        environment: variables beside those of this process.

    Raises:
        UsageError: it cannot be started as it is.
        BaseException: what a signal handler raised meanwhile; no process of the command is left then.
    """
    process = _start(command, folder, environment)
    assert process.stdout is not None  # noqa: S101 - they are pipes
    assert process.stderr is not None  # noqa: S101
    with process.stdout, process.stderr:
        reader = _Reader(process, {process.stdout.fileno(): stdout, process.stderr.fileno(): stderr})
        try:
            if reader.read_until(None if walltime is None else time.monotonic() + walltime):
                return Ending(process.returncode, is_timed_out=False)
        except BaseException:
            _stop(process, reader)
            raise
        _stop(process, reader)
        return Ending(process.returncode, is_timed_out=True)


def _start(command: str, folder: Path, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    shell = _BASH if os.access(_BASH, os.X_OK) else _SH
    sys.stdout.flush()
    try:
        return subprocess.Popen(
            [shell, "-c", command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=folder,
            env={**os.environ, **environment},
            start_new_session=True,
            bufsize=0,
        )
    except ValueError as error:
        raise UsageError(f"The command cannot be started: {error}. Take null characters out of it.") from None
    except OSError as error:
        raise UsageError(f"The command cannot be started: {error.strerror}. {_advice(command)}") from None


def _advice(command: str) -> str:
    return f"It has {len(command):,} characters; pass what is long in a file." if len(command) > _CHUNK else ""


class _Reader:
    """Reads the outputs of a process as they come."""

    def __init__(self, process: subprocess.Popen[bytes], sinks: Mapping[int, Sink]) -> None:
        self._process = process
        self._open = dict(sinks)
        self._rounds = _ROUNDS_AFTER_END
        for descriptor in sinks:
            os.set_blocking(descriptor, False)

    def read_until(self, deadline: float | None) -> bool:
        """Read until the process has ended, and return True; return False at the deadline."""
        with selectors.DefaultSelector() as selector:
            for descriptor in self._open:
                selector.register(descriptor, selectors.EVENT_READ)
            while self._open:
                left = _TICK if deadline is None else deadline - time.monotonic()
                has_ended = self._process.poll() is not None
                if left <= 0 and not has_ended:
                    return False
                ready = selector.select(0 if has_ended else min(left, _TICK))
                for key, _ in ready:
                    self._take(key.fd, selector)
                self._rounds -= has_ended
                if has_ended and not (ready and self._rounds):
                    break
        return self._wait(deadline)

    def _take(self, descriptor: int, selector: selectors.BaseSelector) -> None:
        with contextlib.suppress(BlockingIOError):
            chunk = os.read(descriptor, _CHUNK)
            self._open[descriptor].add(chunk)
            if not chunk:
                selector.unregister(descriptor)
                del self._open[descriptor]

    def _wait(self, deadline: float | None) -> bool:
        try:
            self._process.wait(None if deadline is None else max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            return False
        return True


def _stop(process: subprocess.Popen[bytes], reader: _Reader) -> None:
    """End the whole group; what it writes meanwhile is read."""
    try:
        _signal(process, signal.SIGTERM)
        reader.read_until(time.monotonic() + STOP_GRACE)
    finally:
        # Also when a second signal arrives meanwhile; and for what ignores SIGTERM beside a shell that does not.
        _signal(process, signal.SIGKILL)
        process.wait()


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS says the latter of groups that have ended
        os.killpg(process.pid, number)
