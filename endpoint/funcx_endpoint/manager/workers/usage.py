"""What a worker and the processes below it use, and whether that is more than they may.

The manager looks from time to time while something runs, by what the kernel says in ``/proc``: that works in every batch
job and container, without rights. A limit on address space (``ulimit -v``) would not do, because numerical and GPU
libraries reserve many times what they use; the kernel's limit on processes counts all of a user's on the node.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path
from typing import Final

from funcx_endpoint.manager.workers.limits import Excess, Limits
from funcx_endpoint.worker.isolation import children

LOOK_SECONDS: Final = 0.2
"""Between two looks. A task may use more for so long."""
_FREEZE_SECONDS: Final = 0.5
_OWN: Final = ("RssAnon:", "RssShmem:", "VmSwap:")
_SHARED: Final = ("Pss_Anon:", "Pss_Shmem:", "SwapPss:")


def excess(pid: int, limits: Limits) -> Excess | None:
    """Return what the worker `pid` uses too much of, or None."""
    pids = tree(pid, limits.processes)
    if limits.processes is not None and len(pids) - 1 > limits.processes:
        return Excess("processes", len(pids) - 1, limits.processes)
    if limits.memory is not None and (used := memory_used(pids, limits.memory)) > limits.memory:
        return Excess("memory", used, limits.memory)
    return None


def tree(pid: int, most: int | None = None) -> list[int]:
    """Return a process and those below it; the search ends soon after `most` were found below."""
    found = [pid]
    for one in found:
        if most is not None and len(found) - 1 > most:
            break
        found.extend(children(str(one)))
    return found


def memory_used(pids: list[int], enough: int) -> int:
    """Return the bytes of memory that only these processes need; what is shared among them is counted once.

    Files that are mapped are not counted: the kernel takes their memory back when it wants to.

    Args:
        pids: processes; those that are gone count nothing.
        enough: a sum of at most so much need not be exact. The exact one costs milliseconds per gigabyte.
    """
    rough = sum(_kilobytes(pid, "status", _OWN) for pid in pids) * 1024
    if rough <= enough or len(pids) == 1:
        return rough
    # Forked children share most of their memory with their parent.
    exact = sum(_kilobytes(pid, "smaps_rollup", _SHARED) for pid in pids) * 1024
    return exact or rough


def _kilobytes(pid: int, file: str, names: tuple[str, ...]) -> int:
    try:
        lines = Path(f"/proc/{pid}/{file}").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith(names))


def kill_tree(pid: int) -> list[int]:
    """Kill a process and all below it; return them, for their parent to reap.

    All are stopped before the first is killed: processes that start others faster than they die would never end.
    """
    stopped: dict[int, None] = {}
    deadline = time.monotonic() + _FREEZE_SECONDS
    while new := [one for one in tree(pid) if one not in stopped]:
        for one in new:
            _signal(one, signal.SIGSTOP)
            stopped[one] = None
        if time.monotonic() > deadline:
            break
    for one in stopped:
        _signal(one, signal.SIGKILL)
    return list(stopped)


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(OSError):
        os.kill(pid, number)
