"""The client's methods about tasks: submit, follow, fetch, cancel."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec

from funcx_core.errors import FuncxError, TaskPending, UsageError
from funcx_core.ids import EndpointId, FunctionId, GroupId, new_task_id, parse_id
from funcx_core.protocol.payload import as_text
from funcx_core.protocol.resources import Resources
from funcx_core.protocol.task import DEFAULT_OPTIONS, TaskOptions
from funcx_core.sdk.batch import Batch
from funcx_core.sdk.client_core import ClientCore
from funcx_core.sdk.large import upload_arguments
from funcx_core.sdk.options import task_options
from funcx_core.sdk.stream import Route
from funcx_core.sdk.tasks import is_ended, value_or_error
from funcx_core.sdk.transfer import Transfer
from funcx_core.sdk.trust import Reader
from funcx_core.sdk.wire_errors import error_from_response
from funcx_core.serialize import pack_call

if TYPE_CHECKING:
    from funcx_core.sdk.asynchronous import FuncXTask

_ACCEPTED = 200
_STATUS = ("task_id", "status", "endpoint_id", "times", "completion_t")
_PACKED = frozenset({"result", "exception", "error"})
"""Of a task, as the service tells of it: what only means something to whoever opens it."""
SURELY_INLINE: Final = 64 * 1024
"""Bytes of arguments up to which nobody asks for the service's limits."""


class TaskMethods(ClientCore):
    """Submitting tasks, and what becomes of them."""

    def run(self, *args: Any, endpoint_id: str | None = None, function_id: str | None = None, **kwargs: Any) -> Any:
        """Submit one call of a registered function and return the task's id; a `FuncXTask` to await if the client is asynchronous.

        Args:
            *args: positional arguments of the function.
            endpoint_id: id or name of the endpoint.
            function_id: what `register_function` returned.
            **kwargs: keyword arguments of the function.

        Raises:
            SerializationError: an argument cannot be sent.
            FunctionNotFound, EndpointNotFound: they are unknown.
        """
        if endpoint_id is None or function_id is None:
            raise UsageError("Name both: run(..., endpoint_id='theta', function_id=function_id).")
        batch = self.create_batch()
        batch.add(function_id, endpoint_id, args, kwargs)
        return self.batch_run(batch)[0]

    def create_batch(
        self,
        task_group_id: str | uuid.UUID | None = None,
        create_websocket_queue: bool = False,
        *,
        container_id: str | None = None,
        walltime: float | None = None,
        retry_on_loss: int = 0,
        priority: int = 0,
        resources: Resources | Mapping[str, Any] | None = None,
        resource_specification: Mapping[str, Any] | None = None,
        after: Iterable[Any] = (),
    ) -> Batch:
        """Return an empty batch; see `Batch.add`.

        Args:
            task_group_id: the group of its tasks; the client's if it is None.
            create_websocket_queue: have results of the group kept for clients that read them from a WebSocket or a broker.
            container_id: a registered container to run in.
            walltime: seconds after which a task is stopped with `TaskTimeout`.
            retry_on_loss: how often a started task runs again when its worker, manager or endpoint dies (0 to 10).
            priority: -100 to 100; of your tasks at an endpoint those with the highest number start first.
            resources: what each task needs of its node, such as ``{"cores": 4, "memory_gb": 16, "accelerators": 1}``.
            resource_specification: the name that `resources` has in later releases.
            after: tasks of yours, as ids or futures, that must succeed before one of these starts; at most 64. If one does not,
                they fail with `DependencyError`.
        """
        group_id = parse_id(str(task_group_id), "task group id") if task_group_id else self.session_task_group_id
        wanted = resource_specification if resources is None else resources
        options = task_options(container_id, walltime, retry_on_loss, priority, wanted, after=after)
        return Batch(group_id, create_websocket_queue, options=options)

    def batch_run(self, batch: Batch) -> list[Any]:
        """Submit all calls of a batch in one request and return the ids of the tasks; `FuncXTask`s if the client is asynchronous.

        Raises:
            FuncxError: of the first call that was not accepted. Its `task_ids` has the ids of all, in order, and
                `accepted` those that were accepted.
        """
        if self.asynchronous:
            return self._submit_to_await(batch)
        tasks = [
            [parse_id(function_id, "function id"), self.find_endpoint(endpoint), self._packed(args, kwargs)]
            for function_id, endpoint, args, kwargs in batch.calls
        ]
        if not tasks:
            return []
        task_ids: list[str] = [new_task_id() for _ in tasks]  # made here, so that the request may be repeated
        answer = self._web.post(
            "submit",
            body={
                "task_group_id": batch.task_group_id or self.session_task_group_id,
                "tasks": tasks,
                "task_ids": task_ids,
                "create_websocket_queue": batch.create_websocket_queue,
                "large_results": True,
                **({} if batch.options == DEFAULT_OPTIONS else {"options": msgspec.to_builtins(batch.options)}),
            },
        )
        return _accepted(answer, task_ids)

    def _packed(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
        payload = pack_call(args, kwargs)
        if len(payload) > SURELY_INLINE and len(payload) > (limits := self.known_limits()).max_payload:
            payload = upload_arguments(self.transfer, payload, limits)
        return as_text(payload)

    def get_task(self, task_id: str) -> dict[str, Any]:
        """Return what is known of a task: ``task_id``, ``status``, ``pending``, ``times`` and more.

        Once it has ended also its ``completion_t`` and its ``result``, or the ``exception`` that `get_result` would raise.
        """
        task = self._task(task_id)
        known = {name: value for name, value in task.items() if name not in _PACKED}
        return {**known, **_opened(task, self._reader_of_task(task), self.transfer)}

    def get_task_status(self, task_id: str) -> dict[str, Any]:
        """Return ``task_id``, ``status``, ``pending``, ``endpoint_id`` and ``times`` of a task. Its result is not opened."""
        return _status(self._task(task_id))

    def get_result(self, task_id: str) -> Any:
        """Return the value of a task, or raise the exception of its function.

        Raises:
            TaskPending: it has not ended; `reason` is its state.
            TaskFailed: it ended without a value, by no fault of its function.
        """
        task = self._task(task_id)
        value, error = value_or_error(task, self._reader_of_task(task), self.transfer)
        if error is not None:
            raise error
        return value

    def get_batch_result(self, task_id_list: list[str]) -> dict[str, dict[str, Any]]:
        """Return for each task ``{"task_id", "status", "pending"}`` and its ``result`` or ``exception`` once it has ended.

        Raises:
            UsageError: that is one id, not a list.
        """
        if isinstance(task_id_list, str):
            raise UsageError(f"A list of task ids is needed: get_batch_result(['{task_id_list[:60]}']).")
        task_ids = [parse_id(task_id, "task id") for task_id in task_id_list]
        answer = self._batch_status.ask(self._web, {"task_ids": task_ids})
        return {
            task_id: _opened(found, self._reader_of_task(found), self.transfer)
            for task_id, found in dict(answer.content["results"]).items()
        }

    def get_batch_status(self, task_id_list: list[str]) -> dict[str, dict[str, Any]]:
        """Return the same as `get_batch_result`: the name it had in early releases."""
        return self.get_batch_result(task_id_list)

    def cancel_task(self, task_id: str, *, force: bool = False) -> dict[str, Any]:
        """Ask for the end of a task, running or not. Its result, usually `TaskCancelled`, follows."""
        return dict(self._web.post("tasks", parse_id(task_id, "task id"), "cancel", body={"force": force}) or {})

    def get_task_group(self, task_group_id: str) -> list[str]:
        """Return the ids of the tasks of a group."""
        answer = self._web.get("taskgroup", parse_id(task_group_id, "task group id"))
        return [str(task["id"]) for task in answer["tasks"]]

    def _task(self, task_id: str) -> dict[str, Any]:
        return dict(self._web.get("tasks", parse_id(task_id, "task id")))

    def _submit_to_await(self, batch: Batch) -> list[FuncXTask]:
        """Submit by the stream, on which the results come back, too."""
        from funcx_core.sdk.asynchronous import follow, loop_for  # noqa: PLC0415 - `import funcx` stays without asyncio

        loop = loop_for(self.loop)
        group_id = GroupId(batch.task_group_id or self.session_task_group_id)
        routes: dict[str, Route] = {}
        calls = [
            (
                FunctionId(parse_id(function_id, "function id")),
                pack_call(args, kwargs),
                self._route(endpoint, group_id, batch.options, routes),
            )
            for function_id, endpoint, args, kwargs in batch.calls
        ]
        stream = self._results_stream()
        if batch.options.after:
            stream.flush()  # They may be this client's, submitted a moment ago.
        return [follow(stream.submit(*call), loop) for call in calls]

    def _route(self, endpoint: str, group_id: GroupId, options: TaskOptions, routes: dict[str, Route]) -> Route:
        if endpoint not in routes:
            endpoint_id = EndpointId(self.find_endpoint(endpoint))
            routes[endpoint] = Route(endpoint_id, group_id, options, self.reader_of(endpoint_id))
        return routes[endpoint]


def _accepted(answer: dict[str, Any], task_ids: list[str]) -> list[str]:
    """Return the ids that the service gave, which are ours if it honours them."""
    results = answer["results"]
    found = [str(item.get("task_uuid", task_id)) for item, task_id in zip(results, task_ids, strict=True)]
    failed = [item for item in results if item.get("http_status_code", _ACCEPTED) != _ACCEPTED]
    if failed:
        error: FuncxError = error_from_response(int(failed[0]["http_status_code"]), failed[0])
        error.task_ids = found  # type: ignore[attr-defined]
        error.accepted = [task_id for item, task_id in zip(results, found, strict=True) if item not in failed]  # type: ignore[attr-defined]
        raise error
    return found


def _status(task: dict[str, Any]) -> dict[str, Any]:
    return {**{name: task[name] for name in _STATUS if name in task}, "pending": not is_ended(task)}


def _opened(task: dict[str, Any], reader: Reader, transfer: Transfer) -> dict[str, Any]:
    status = _status(task)
    try:
        value, error = value_or_error(task, reader, transfer)
    except TaskPending:
        return status
    return {**status, "exception": error} if error is not None else {**status, "result": value}
