"""What widgets ask of the web service. Safe from any thread; a question is tried once, because a widget asks again anyway."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Final, Protocol

from funcx_core.errors import NotFound, UsageError
from funcx_core.ids import TaskId, parse_id
from funcx_core.protocol.task import TaskState
from funcx_core.sdk.repeated_question import RepeatedQuestion
from funcx_core.sdk.settings import Settings
from funcx_core.sdk.settings_watch import current_settings
from funcx_core.sdk.web import WebClient
from funcx_jupyter.display import words
from funcx_jupyter.session.endpoints import Endpoint, endpoint_of
from funcx_jupyter.session.service_connection import ServiceConnection
from funcx_jupyter.widgets.printed import as_shown

TIMEOUT: Final = 10.0
SHARED: Final = 0.8
"""Seconds for which a list of endpoints is good enough for other widgets: less than the shortest pause of one of them."""
LARGEST_KEPT: Final = 16_000_000
"""Bytes of an answer that is kept, so that it need not be sent again: ten thousand tasks are 5 MB."""
MOST_IDS: Final = 10_000
"""Tasks in one request, as the service takes them."""


class Service(Protocol):
    """What widgets ask. All of it may raise `FuncxError`."""

    def endpoints(self, *, fresh: bool = False) -> list[Endpoint]:
        """Return the user's endpoints; unless `fresh`, what somebody else was told a moment ago will do."""

    def states(self, task_ids: Sequence[TaskId]) -> dict[str, dict[str, Any]]:
        """Return what is known of these tasks, by id, without their values; the same object as before if that has not changed."""

    def function_name(self, function_id: str) -> str:
        """Return the name of a function; nothing if it is not to be seen."""

    def group(self, group_id: str) -> list[TaskId]:
        """Return the tasks of a group."""

    def events(self, task_id: TaskId, after: int) -> list[dict[str, Any]]:
        """Return the entries of a task's log after a `seq`."""

    def cancel(self, task_id: TaskId) -> None:
        """Ask for the end of a task."""

    def result(self, task_id: TaskId) -> str:
        """Return what a task returned or raised, as text."""


class WebService:
    """The service that is configured now: after `funcx down` and `funcx up` that is the new one, at its new address.

    Args:
        settings: says which one; looked up for each question.
    """

    def __init__(
        self, settings: Callable[[], Settings] = current_settings, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._lock = threading.Lock()
        self._web: WebClient | None = None
        self._listing = threading.Lock()
        self._asking = threading.Lock()
        self._questions: list[RepeatedQuestion] = []
        self._pages = 0
        self._told: dict[str, dict[str, Any]] = {}
        self._listed: tuple[float, WebClient, list[Endpoint]] | None = None

    def endpoints(self, *, fresh: bool = False) -> list[Endpoint]:
        """Return the user's endpoints. Widgets that ask at about the same time are told by one request."""
        with self._listing:
            client = self._client()
            if not fresh and self._listed is not None:
                at, of, rows = self._listed
                if of is client and self._clock() - at < SHARED:
                    return rows
            rows = [endpoint_of(row, now=time.time()) for row in client.get("endpoints")]
            self._listed = (self._clock(), client, rows)
            return rows

    def states(self, task_ids: Sequence[TaskId]) -> dict[str, dict[str, Any]]:
        """Return what is known of these tasks: one request for up to ten thousand of them."""
        client = self._client()
        pages = [list(task_ids[start : start + MOST_IDS]) for start in range(0, len(task_ids), MOST_IDS)]
        with self._asking:
            while len(self._questions) < len(pages):
                self._questions.append(RepeatedQuestion("batch_status", largest=LARGEST_KEPT))
            answers = [
                question.ask(client, {"task_ids": page, "brief": True})
                for question, page in zip(self._questions, pages, strict=False)
            ]
            if len(answers) != self._pages or any(answer.is_new for answer in answers):
                self._pages = len(answers)
                self._told = {
                    task_id: told for answer in answers for task_id, told in answer.content["results"].items()
                }
            return self._told

    def function_name(self, function_id: str) -> str:
        """Return the name of a function; nothing if it is not to be seen."""
        try:
            return str(self._client().get("functions", function_id).get("function_name") or "")
        except NotFound:
            return ""

    def group(self, group_id: str) -> list[TaskId]:
        """Return the tasks of a group."""
        answer = self._client().get("taskgroup", parse_id(group_id, "task group id"))
        return [TaskId(str(task["id"])) for task in answer["tasks"]]

    def events(self, task_id: TaskId, after: int) -> list[dict[str, Any]]:
        """Return the entries of a task's log after a `seq`."""
        answer = self._client().get("tasks", task_id, "events", query=f"after={after:d}")
        return list(answer["events"])

    def cancel(self, task_id: TaskId) -> None:
        """Ask for the end of a task."""
        self._client().post("tasks", task_id, "cancel", body={})

    def result(self, task_id: TaskId) -> str:
        """Return what a task returned or raised, as text."""
        told = self._client().get("tasks", task_id)
        if "exception" in told:
            return str(told["exception"])
        if told["status"] != TaskState.SUCCESS:
            raise UsageError(f"Task {words.short_id(task_id)} has not ended: it has no result yet.")
        connection = ServiceConnection(self._settings())
        try:
            return as_shown(connection.result(task_id))
        finally:
            connection.close()

    def _client(self) -> WebClient:
        settings = self._settings()
        with self._lock:
            if self._web is None or self._web.settings != settings:
                self._web = WebClient(settings, timeout=TIMEOUT, tries=1)
            return self._web


@cache
def the_service() -> WebService:
    """Return the one that all widgets of this process share."""
    return WebService()
