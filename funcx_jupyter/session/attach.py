"""Tasks of this notebook that an earlier kernel, or an earlier cell, has sent: shown again from their first line, and their outputs taken."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from typing import Any

from funcx_core.errors import MapNotFound
from funcx_core.ids import EndpointId, GroupId, MapId, TaskId
from funcx_core.protocol.task import TaskState
from funcx_core.sdk.futures import FuncXFuture
from funcx_jupyter.cellmaps.run import attach_map, state_of_map
from funcx_jupyter.cellmaps.task import CellMapTask
from funcx_jupyter.display import words
from funcx_jupyter.display.header import Header
from funcx_jupyter.errors import CellInterrupted
from funcx_jupyter.session.asynchronous import BackgroundScreen, show_in_background
from funcx_jupyter.session.cell_task import CellTask
from funcx_jupyter.session.expired import missing
from funcx_jupyter.session.followed import Followed, Watched
from funcx_jupyter.session.following import Following, LineScreen
from funcx_jupyter.session.journal import Submission
from funcx_jupyter.session.opening import opened
from funcx_jupyter.session.outcome import Finished, describe_wanted
from funcx_jupyter.session.state import Session
from funcx_jupyter.session.watch import Mailbox


class Attacher:
    """Shows tasks again.

    Args:
        session: of this notebook.
        namespace: the variables of the notebook.
        screen: makes the place for the output of one more task.
        background: makes one that is changed while other cells run.
    """

    def __init__(
        self,
        session: Session,
        namespace: dict[str, Any],
        screen: Callable[[], LineScreen],
        background: Callable[[], BackgroundScreen],
    ) -> None:
        self._session = session
        self._namespace = namespace
        self._screen = screen
        self._background = background

    def one(self, name: str) -> Finished:
        """Follow a task to its end, and return or raise what it did.

        Raises:
            TaskNotFound: there is no such task.
        """
        submission = self._submission(name)
        if submission.map_of:
            return self.map_of(submission).follow()
        return self._follow(submission, self._known(submission.task_id))

    def several(self, names: Sequence[str]) -> str:
        """Follow tasks to their ends, one after the other, and return what became of them in words."""
        return self._report([self._submission(name) for name in names], "tasks", replays_all=True)

    def everything(self) -> str:
        """Do that for all tasks of this notebook that this kernel does not know yet, or has let go: the last of each cell."""
        known = self._session.known_submissions()
        newest = {one.cell or one.task_id: one for one in known}
        found = [one for one in known if one in newest.values() and (self._is_new(one) or self._is_let_go(one))]
        if not found:
            return "No tasks of this notebook wait to be attached. `%funcx attach TASK` shows any task of yours again."
        return self._report(found, "tasks of this notebook", replays_all=False)

    def _is_new(self, submission: Submission) -> bool:
        return not self._session.is_followed(submission.task_id)

    def _is_let_go(self, submission: Submission) -> bool:
        """Whether the user has detached from it, so that nobody has seen its end."""
        is_followed = submission.map_of or submission.task_id in self._session.asynchronous
        return not is_followed and self._session.recall.end_of(submission.task_id) is None

    def _report(self, found: list[Submission], what: str, *, replays_all: bool) -> str:
        states = self._session.connection.states([one.task_id for one in found if not one.map_of])
        states |= {one.task_id: {"status": state} for one in found if one.map_of and (state := self._map_state(one))}
        told, notes = [], []
        at_first = frozenset(self._namespace)
        newest = {
            name: one.task_id
            for one in found
            if _state(states.get(one.task_id, {})) is TaskState.SUCCESS
            for name in one.variables
        }
        for one in found:
            known = states.get(one.task_id, {})
            state = _state(known)
            if state is None:
                told.append(f"{_name(one)} gone")
                continue
            is_seen = self._session.recall.end_of(one.task_id) is not None
            if is_seen and not replays_all:
                names = [name for name in one.variables if newest.get(name) == one.task_id]
                notes += self._restore(one, state, names, at_first)
            elif one.is_async and not state.is_terminal:
                notes += self._bind(one, known)
            else:
                state = self._replay(one, known)
                notes += [f"{name} restored." for name in one.variables] if state is TaskState.SUCCESS else []
            age = f" ({words.lasting(time.time() - one.at)})" if not state.is_terminal else ""
            told.append(f"{_name(one)} {words.STATES[state]}{age}")
        counted = f"{len(found)} {what if len(found) != 1 else what.replace('tasks', 'task', 1)}"
        return " ".join([f"{counted}: {', '.join(told)}.", *notes])

    def _replay(self, submission: Submission, known: dict[str, Any]) -> TaskState:
        try:
            self._follow(submission, known)
        except CellInterrupted:
            raise
        except Exception as error:  # noqa: BLE001 - what a cell raised, which may be anything; the others are to be shown, too
            self._screen().notice(f"{words.short_id(submission.task_id)}: {type(error).__name__}: {error}")
        return self._session.tasks[submission.task_id].state

    def map_of(self, submission: Submission) -> CellMapTask:
        """Return a handle on a cell's map, which is shown in a place of its own."""
        return attach_map(self._session, submission, self._namespace, self._background())

    def _map_state(self, submission: Submission) -> TaskState | None:
        try:
            return state_of_map(self._session.connection.find_map(MapId(submission.task_id)).progress())
        except MapNotFound:
            return None

    def _follow(self, submission: Submission, known: dict[str, Any]) -> Finished:
        if submission.map_of:
            return self.map_of(submission).follow()
        watched = self._watch(submission, known, Mailbox())
        held = self._namespace.get(submission.name)
        if isinstance(held, CellTask) and held.task_id == submission.task_id:
            # What it was is what its asynchronous cell heard last, perhaps that nobody was signed in any more.
            self._namespace[submission.name] = self._handle_of(watched, submission.name)
        return Following(self._session, watched, self._screen()).run(self._namespace)

    def handle(self, name: str) -> CellTask:
        """Return a handle on a task: the one that its asynchronous cell has returned, or another."""
        task_id = self._session.find_task(name)
        known = self._session.asynchronous.get(task_id)
        if known is not None and self._session.is_followed(task_id):
            return known
        submission = self._submission(name)
        return self._handle_of(self._watch(submission, self._known(submission.task_id), Mailbox()), submission.name)

    def _handle_of(self, watched: Watched, name: str) -> CellTask:
        return CellTask(self._session, watched.task, watched.future, self._namespace, self._background(), name, None)

    def _bind(self, submission: Submission, known: dict[str, Any]) -> list[str]:
        """Show a task that runs while other cells do, and give it its name again."""
        if submission.map_of:
            running = self.map_of(submission)
            running.follow_in_background()
            return self._named(submission, running)
        watched = self._watch(submission, known, Mailbox(self._session.background.news))
        handle = show_in_background(self._session, watched, self._background(), self._namespace, submission.name)
        return self._named(submission, handle)

    def _named(self, submission: Submission, handle: CellTask | CellMapTask) -> list[str]:
        if not submission.name:
            return [f"{words.short_id(submission.task_id)} attached."]
        self._namespace[submission.name] = handle
        return [f"{submission.name} attached as `{submission.name}`."]

    def _watch(self, submission: Submission, known: dict[str, Any], mailbox: Mailbox) -> Watched:
        self._session.recognise(submission)
        future = self._session.connection.watch(
            submission.task_id, submission.group_id, submission.endpoint_id, mailbox
        )
        return watched_of(submission, known, future, mailbox)

    def _restore(
        self, submission: Submission, state: TaskState, names: list[str], kept_names: Collection[str]
    ) -> list[str]:
        """Take outputs of a task whose end has been shown; what the notebook had already stays as it is."""
        self._session.recognise(submission)
        self._session.tasks[submission.task_id].state = state
        missing = [name for name in names if name not in kept_names]
        if state is not TaskState.SUCCESS or not names:
            return []
        kept = [f"`{name}` stays as it is here." for name in names if name in kept_names]
        if missing and submission.map_of:
            lists = self.map_of(submission).grid.collected_by_end()
            self._namespace.update({name: lists[name] for name in missing})
        elif missing:
            value = self._session.connection.result(submission.task_id)
            found = opened(self._session, submission, value, submission.outputs, self._namespace)
            self._namespace.update({name: found.outputs[name] for name in missing})
        return [*(f"{name} restored." for name in missing), *kept]

    def _known(self, task_id: TaskId) -> dict[str, Any]:
        known = self._session.connection.states([task_id]).get(task_id, {})
        if _state(known) is None:
            raise missing(self._session, task_id)
        return known

    def _submission(self, name: str) -> Submission:
        """Return the submission of this notebook with that name; of another task of the user, what the service tells."""
        if found := self._session.find_submission(name):
            return found
        task_id = self._session.find_task(name)
        known = self._known(task_id)
        endpoint_id = EndpointId(str(known["endpoint_id"]))
        names = {row.endpoint_id: row.name for row in self._session.connection.endpoints()}
        return Submission(
            task_id=TaskId(task_id),
            group_id=GroupId(str(known["task_group_id"])),
            endpoint_id=endpoint_id,
            endpoint=names.get(endpoint_id, endpoint_id[:8]),
            service=self._session.connection.address,
            at=float(known["times"]["received"]) / 1e9,
            title="",
        )


def watched_of(submission: Submission, known: dict[str, Any], future: FuncXFuture, mailbox: Mailbox) -> Watched:
    """Return a task as it is shown. `known`: what the service has told of it; nothing if it was sent just now."""
    header = Header(
        endpoint=submission.endpoint,
        endpoint_id=submission.endpoint_id,
        task_id=submission.task_id,
        name=submission.name,
        elapsed=max(0.0, time.time() - submission.at),
        outputs=describe_wanted(submission.outputs, submission.refs, submission.endpoint),
    )
    return Watched(_followed(submission, known), future, mailbox, header)


def _followed(submission: Submission, known: dict[str, Any]) -> Followed:
    completed = float((known.get("times") or {}).get("completed") or 0) / 1e9
    return Followed(
        task_id=submission.task_id,
        endpoint=submission.endpoint,
        endpoint_id=submission.endpoint_id,
        outputs=submission.outputs,
        refs=submission.refs,
        sent_at=submission.at,
        took=max(0.0, completed - submission.at) if completed else None,
    )


def _state(known: dict[str, Any]) -> TaskState | None:
    try:
        return TaskState(str(known.get("status", "")))
    except ValueError:
        return None  # Deleted since, or never received.


def _name(submission: Submission) -> str:
    return submission.name or words.short_id(submission.task_id)
