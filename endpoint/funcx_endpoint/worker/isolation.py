"""What one task must not leave behind for the next: a changed process, and processes of its own.

The checks after each task compare with a snapshot and repair only what differs, so that a task that leaves nothing
behind pays for about ten cheap look-ups.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # what `signal` wraps; it makes no enum of each answer, which is most of the price
import contextlib
import ctypes
import os
import signal
import sys
import time
import warnings
from pathlib import Path
from typing import Any, Final

_UMASK: Final = 0o077
_WATCHED: Final = tuple(
    int(number)
    for number in (
        signal.SIGINT,
        signal.SIGTERM,
        signal.SIGALRM,
        signal.SIGUSR1,
        signal.SIGUSR2,
        signal.SIGCHLD,
        signal.SIGPIPE,
        signal.SIGHUP,
    )
)
_SIG_BLOCK: Final = int(signal.SIG_BLOCK)
_FORK_NANOSECONDS: Final = 100_000
"""No process is started in less time: after a shorter task there is nothing to look for."""
_KILL_PATIENCE: Final = 1.0
"""Seconds in which killed children must be gone; one that cannot be killed (state D) keeps nobody waiting longer."""
_OOM_SCORE: Final = 500
_PR_SET_PDEATHSIG: Final = 1
_PR_SET_CHILD_SUBREAPER: Final = 36


def become_subreaper() -> None:
    """Let orphans of our children become our own children, so that they can be found and killed."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent(parent: int) -> None:
    """Let the kernel kill this process when `parent` dies; at once if it is dead already."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(70)


def be_the_first_to_go() -> None:
    """Let the kernel, when memory runs out, kill this process and its children rather than the manager."""
    score = Path("/proc/self/oom_score_adj")
    with contextlib.suppress(OSError, ValueError):
        score.write_text(str(max(int(score.read_text()), _OOM_SCORE)))


def _prctl(option: int, value: int) -> None:
    ctypes.CDLL(None, use_errno=True).prctl(option, ctypes.c_ulong(value), 0, 0, 0)


def buffer_c_output_by_lines() -> None:
    """Let C code's `printf` arrive line by line: a pipe would hold back 4 KiB of it, also past the end of the task."""
    libc = ctypes.CDLL(None)
    for name in ("stdout", "stderr"):
        libc.setvbuf(ctypes.c_void_p.in_dll(libc, name), None, 1, 0)


def children(process: str = "self") -> list[int]:
    """Return the process ids of the children of a process, those of all its threads."""
    found: list[int] = []
    try:
        for thread in Path(f"/proc/{process}/task").iterdir():
            found.extend(int(pid) for pid in (thread / "children").read_text().split())
    except OSError:
        pass  # The process is gone.
    return found


def kill_children(spared: frozenset[int] = frozenset(), patience: float = _KILL_PATIENCE) -> list[int]:
    """Kill and reap all children, and what becomes our child by that; return those that are left after `patience`."""
    deadline = time.monotonic() + patience
    while left := [pid for pid in children() if pid not in spared]:
        for pid in left:
            _kill(pid)
        for pid in left:
            reap(pid)
        if time.monotonic() > deadline:
            return left
        time.sleep(0.002)
    return []


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def reap(pid: int) -> None:
    """Forget a child that has ended; nothing happens if it is no child or lives."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


class Surroundings:
    """The process as a task must find it. Make one when the worker is ready, call `restore` after each task."""

    def __init__(self, working_dir: str, *, keep_children: bool) -> None:
        os.umask(_UMASK)
        self._working_dir = working_dir
        self._keep_children = keep_children
        self._environment = dict(_raw_environment())
        self._path = list(sys.path)
        self._filters = list(warnings.filters)
        self._recursion = sys.getrecursionlimit()
        self._handlers: tuple[Any, ...] = ()
        self._mask = _signal.pthread_sigmask(_SIG_BLOCK, ())
        # What the kernel calls the folder: `working_dir` may be reached by a symbolic link.
        self._current_dir = os.getcwd()  # noqa: PTH109 - a tenth of the price of Path.cwd(), and paid per task

    def note_handlers(self) -> None:
        """The signal handlers are as they shall be."""
        self._handlers = tuple(map(_signal.getsignal, _WATCHED))

    def restore(self, ran: int) -> None:
        """Put everything back that the last task changed, and end the processes that it left behind.

        Args:
            ran: nanoseconds that the task took.
        """
        self._restore_directory()
        if _raw_environment() != self._environment:
            self._restore_environment()
        os.umask(_UMASK)
        if sys.path != self._path:
            sys.path[:] = self._path
        if sys.getrecursionlimit() != self._recursion:
            sys.setrecursionlimit(self._recursion)
        if warnings.filters != self._filters:
            warnings.filters[:] = self._filters  # type: ignore[index]
            warnings._filters_mutated()  # type: ignore[attr-defined]  # noqa: SLF001 - as `catch_warnings` does
        if tuple(map(_signal.getsignal, _WATCHED)) != self._handlers:
            self._restore_handlers()
        _signal.alarm(0)
        if _signal.pthread_sigmask(_SIG_BLOCK, ()) != self._mask:
            signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)
        if (sent := sys.modules.get("funcx_core.cells.modules")) is not None:
            sent.remove()  # Of the modules that came with a cell nothing is left.
        if ran >= _FORK_NANOSECONDS or ran < 0:
            self._end_children()

    def _restore_directory(self) -> None:
        try:
            if os.getcwd() == self._current_dir:  # noqa: PTH109 - see above
                return
        except FileNotFoundError:
            pass  # The task removed the folder that it was in.
        Path(self._working_dir).mkdir(mode=0o700, parents=True, exist_ok=True)
        os.chdir(self._working_dir)

    def _restore_environment(self) -> None:
        for name in _raw_environment().keys() - self._environment.keys():
            del os.environ[os.fsdecode(name)]
        for name, value in self._environment.items():
            if _raw_environment().get(name) != value:
                os.environ[os.fsdecode(name)] = os.fsdecode(value)

    def _restore_handlers(self) -> None:
        for number, handler in zip(_WATCHED, self._handlers, strict=True):
            if _signal.getsignal(number) != handler:
                signal.signal(number, handler)

    def _end_children(self) -> None:
        try:
            while True:
                pid, _ = os.waitpid(-1, os.WNOHANG)
                if not pid:
                    break
        except ChildProcessError:
            return  # The ordinary case: no children at all.
        if not self._keep_children:
            kill_children(_spared())


def _raw_environment() -> dict[bytes, bytes]:
    # Comparing the dict behind `os.environ` costs 1 µs, copying `os.environ` 20.
    return os.environ._data  # type: ignore[attr-defined,no-any-return]  # noqa: SLF001


def _spared() -> frozenset[int]:
    """Python's own helper of `multiprocessing`: it frees shared memory when this process ends, and holds nothing else."""
    tracker: Any = sys.modules.get("multiprocessing.resource_tracker")
    pid = getattr(getattr(tracker, "_resource_tracker", None), "_pid", None)
    return frozenset() if pid is None else frozenset({pid})
