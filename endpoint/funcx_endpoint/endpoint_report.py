"""What `funcx-endpoint status` says about one endpoint."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from funcx_core.errors import FuncxError
from funcx_core.protocol.endpoint import EndpointStatus
from funcx_endpoint import lifecycle
from funcx_endpoint.control.client import ask
from funcx_endpoint.control.messages import (
    Answer,
    AskBlocks,
    AskManagers,
    AskQueue,
    AskStatus,
    Blocks,
    ManagerReport,
    Managers,
    Question,
    Queue,
    QueueReport,
    Told,
)
from funcx_endpoint.folder import EndpointFolder, LastError, Status
from funcx_endpoint.lifecycle import State, Summary

T = TypeVar("T", bound=Answer)
PATIENCE: Final = 2.0
"""Seconds that a busy agent is given for each answer."""
MOST_LINES: Final = 10
TAIL_BYTES: Final = 2000
TAIL_LINES: Final = 10
_ERROR_FILES: Final = ("*.stderr", "*.err")
"""How Parsl's providers call what a block printed on stderr."""


class BlockErrors(msgspec.Struct, frozen=True):
    """The end of what a block printed on stderr."""

    file: str
    tail: str


class EndpointReport(msgspec.Struct, frozen=True, kw_only=True):
    """One endpoint. `agent` and what follows it are there while it runs; `block_errors` while something is wrong.

    `blocks`: where each is in its life, by id; `managers`: what there is on each node; `queue`: whose tasks there are.
    """

    id: str | None
    state: str
    detail: str
    name: str
    agent: Status | None
    blocks: dict[str, str]
    managers: list[ManagerReport]
    queue: list[QueueReport]
    last_error: LastError | None
    block_errors: BlockErrors | None


def report(folder: EndpointFolder) -> EndpointReport:
    """Return how an endpoint is."""
    row = lifecycle.summary(folder)
    agent = folder.status() if row.state in {State.RUNNING, State.DISCONNECTED} else None
    if agent is not None:
        agent = _as_of_now(folder, agent)
        if row.state is State.RUNNING:
            row = msgspec.structs.replace(row, detail=lifecycle.trouble(agent))
    last_error = folder.last_error()
    return EndpointReport(
        id=row.id,
        state=row.state.lower(),
        detail=row.detail,
        name=row.name,
        agent=agent,
        blocks=_asked(folder, AskBlocks(), Blocks({})).states if agent else {},
        managers=_asked(folder, AskManagers(), Managers([])).managers if agent else [],
        queue=_asked(folder, AskQueue(), Queue([])).lanes if agent else [],
        last_error=last_error,
        block_errors=block_errors(folder.scripts) if _is_in_trouble(row, agent, last_error) else None,
    )


def lines(found: EndpointReport) -> list[str]:
    """Return the report for people."""
    shown = [f"{found.name}: {found.state.capitalize()}{f' ({found.detail})' if found.detail else ''}"]
    if found.id is not None:
        shown.append(f"  id        {found.id}")
    if found.agent is not None:
        agent = found.agent
        shown += [
            f"  blocks    {agent.blocks}",
            f"  managers  {agent.managers}",
            f"  workers   {agent.workers}{_by_container(agent.containers)}",
            f"  tasks     {agent.running_tasks} with managers, {agent.waiting_tasks} waiting for one",
            f"  results   {agent.unacknowledged_results} not yet acknowledged by the service",
        ]
    shown += [_manager_line(manager) for manager in found.managers]
    shown += _queue_lines(found.queue)
    if found.last_error is not None:
        at = datetime.fromtimestamp(found.last_error.at).astimezone()
        shown.append(f"  last error, {at:%Y-%m-%d %H:%M:%S}: {found.last_error.message}")
    if found.block_errors is not None:
        shown.append(f"  a block printed, {found.block_errors.file}:")
        shown += [f"    {line}" for line in found.block_errors.tail.splitlines()]
    return shown


def _by_container(containers: dict[str, int]) -> str:
    parts = [f"{count} in {container or 'none'}" for container, count in sorted(containers.items())]
    return f" (containers: {', '.join(parts)})" if parts else ""


def _as_of_now(folder: EndpointFolder, found: Status) -> Status:
    """Return the agent's word with what it says when asked: on a full disk its file stays as it was."""
    told = _asked(folder, AskStatus(), Told(EndpointStatus(state=found.state, detail=found.detail))).status
    return msgspec.structs.replace(found, state=told.state, detail=told.detail)


def _asked(folder: EndpointFolder, question: Question, nothing: T) -> T:
    """Ask the agent; it may have ended meanwhile, or be on a file system without sockets."""
    try:
        return ask(folder.path, question, type(nothing), timeout=PATIENCE)
    except FuncxError:
        return nothing


def _manager_line(manager: ManagerReport) -> str:
    facts = [f"block {manager.block_id}", f"{manager.leased} tasks in {manager.slots} of {manager.workers} workers"]
    if manager.load is not None:
        facts.append(f"load {manager.load:.1f}")
    if manager.memory_free:
        facts.append(f"{manager.memory_free / 1e9:.1f} GB of memory free")
    if manager.container:
        facts.append(f"container {manager.container}")
    if manager.seconds_left is not None:
        facts.append(f"ends in {manager.seconds_left / 60:.0f} min")
    if manager.is_kept_free:
        facts.append("kept free for a large task")
    if manager.is_held:
        facts.append("on hold")
    elif not manager.is_open:
        facts.append("takes nothing now")
    return f"  manager   {manager.manager_id} on {manager.hostname}: {', '.join(facts)}"


def _queue_lines(queue: list[QueueReport]) -> list[str]:
    if not queue or (len(queue) == 1 and not queue[0].priority):
        return []
    shown = [
        f"  queue     {one.waiting} waiting and {one.leased} with managers, of user {one.owner or '-'}, priority {one.priority}"
        for one in queue[:MOST_LINES]
    ]
    left = len(queue) - MOST_LINES
    return [*shown, f"  queue     and of {left} more"] if left > 0 else shown


def block_errors(folder: Path) -> BlockErrors | None:
    """Return the end of what the latest block that printed anything on stderr printed there."""
    files = [path for pattern in _ERROR_FILES for path in folder.glob(pattern) if path.stat().st_size]
    if not files:
        return None
    latest = max(files, key=lambda path: path.stat().st_mtime)
    said = latest.read_bytes()[-TAIL_BYTES:].decode(errors="replace").strip().splitlines()[-TAIL_LINES:]
    # What a program printed must not drive the terminal of who looks at it.
    plain = ["".join(one if one.isprintable() or one == "\t" else "?" for one in line) for line in said]
    return BlockErrors(str(latest), "\n".join(plain))


def _is_in_trouble(row: Summary, agent: Status | None, last_error: LastError | None) -> bool:
    if agent is not None and row.state is State.RUNNING:
        return agent.state in {"unhealthy", "degraded"} or (agent.blocks > 0 and not agent.managers)
    return last_error is not None
