"""What managers leave behind: making sure that they are dead, and reading what they had started.

A manager that is only frozen may thaw and start what it holds. On this machine that is prevented: it and everything below it
is killed before its journal is read. On another machine everything that it had dealt to workers counts as started.
"""

from __future__ import annotations

import logging
import signal
import time
from pathlib import Path
from typing import Final

from funcx_core.ids import TaskId
from funcx_core.protocol.task import Lease
from funcx_endpoint import processes
from funcx_endpoint.manager import journal

_log = logging.getLogger(__name__)

WORKERS_END_WITHIN: Final = 2.5
"""Seconds that the workers of a dead manager may take to notice."""


def end_leftovers(folder: Path) -> None:
    """End what an earlier agent of this endpoint left running; nothing of it may start a task any more."""
    left = processes.of_endpoint(folder)
    if not left:
        return
    _log.warning("%d processes of an earlier agent are left, they are ended", len(left))
    # Managers and workers notice the end of their agent by themselves; what does not is stuck.
    processes.end(left, grace=WORKERS_END_WITHIN)


def recover(leases: Path) -> list[Lease]:
    """Return the leases that had started under an earlier agent, and of which its managers know no result."""
    return [found.lease for found in journal.recover(leases) if found.started]


def forget(leases: Path) -> None:
    """The service was told what `recover` returned."""
    journal.forget(leases)


def bury(leases: Path, manager_id: str, pid: int, *, is_local: bool, keep_children: bool) -> frozenset[TaskId] | None:
    """Return which tasks a manager that was given up may have started; None if that cannot be known. Blocking."""
    if is_local:
        _kill(pid)
    if is_local and not keep_children:
        _kill_orphans(manager_id)
    folder = leases / manager_id
    if not folder.is_dir():
        return None
    found = journal.recover_manager(folder)
    return frozenset(one.lease.task_id for one in found if one.started or not is_local)


def _kill_orphans(manager_id: str) -> None:
    """Kill what the tasks of a dead manager left running, also what is nobody's child any more."""
    deadline = time.monotonic() + WORKERS_END_WITHIN
    while (left := processes.of_manager(manager_id)) and time.monotonic() < deadline:
        for one in left:
            one.signal(signal.SIGKILL)
        for one in left:
            one.wait(max(deadline - time.monotonic(), 0))


def _kill(pid: int) -> None:
    """Kill a manager of this machine, its workers and all below them."""
    workers = processes.with_arguments(b"funcx_endpoint.worker", b'"manager":%d,' % pid)
    below = [one for root in (pid, *(worker.pid for worker in workers)) for one in processes.tree(root)]
    left = [*workers, *below]
    manager = processes.identity(pid)
    if manager is not None and b"funcx_endpoint.manager" in processes.command(pid):
        left.append(manager)
    for one in left:
        one.signal(signal.SIGKILL)
    deadline = time.monotonic() + WORKERS_END_WITHIN
    for one in left:
        one.wait(max(deadline - time.monotonic(), 0))
