"""`FuncXClient`: the documented client, one HTTP request per call."""

from __future__ import annotations

import difflib
import platform
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Self

from funcx_core import __version__
from funcx_core.errors import EndpointNotFound, FuncxError, InvalidId, NotFound, TaskPending, UsageError
from funcx_core.ids import new_group_id, new_task_id, parse_id
from funcx_core.protocol.payload import as_text
from funcx_core.sdk import old_keywords
from funcx_core.sdk.batch import Batch
from funcx_core.sdk.old_keywords import refuse_unknown
from funcx_core.sdk.settings import Settings, forget_credentials, load_settings
from funcx_core.sdk.tasks import is_ended, value_or_error
from funcx_core.sdk.web import WebClient
from funcx_core.sdk.wire_errors import error_from_response
from funcx_core.serialize import FuncXSerializer, PackedFunction, pack_call

_ACCEPTED = 200


class FuncXClient:
    """Registers functions, submits tasks and fetches results. Safe from any thread.

    >>> client = FuncXClient()
    >>> function_id = client.register_function(simulate)
    >>> task_id = client.run(42, endpoint_id="theta", function_id=function_id)
    >>> client.get_result(task_id)

    Nothing is contacted before the first call.

    Args:
        http_timeout: seconds for one request.
        funcx_service_address: the service; without it the one of the environment, or the one that `funcx up` started.
        token: the bearer token; without it the one that was saved for the service.
        task_group_id: the group of this client's tasks; a new one if it is None.
    """

    def __init__(
        self,
        http_timeout: float | None = None,
        *,
        funcx_service_address: str | None = None,
        token: str | None = None,
        task_group_id: str | None = None,
        **old: Any,
    ) -> None:
        """`old` takes keywords of old releases that have no meaning any more, see `old_keywords`."""
        refuse_unknown(old, old_keywords.CLIENT, "FuncXClient")
        self.settings: Settings = load_settings(funcx_service_address, token)
        self.session_task_group_id = parse_id(task_group_id, "task group id") if task_group_id else new_group_id()
        self.fx_serializer = FuncXSerializer()
        self.throttling_enabled = False
        self._web = WebClient(self.settings, timeout=http_timeout or 30.0)
        self._endpoint_ids: dict[str, str] = {}

    # --- functions -----------------------------------------------------------------------------------------------

    def register_function(  # noqa: PLR0917 - the documented order of arguments
        self,
        function: Any,
        function_name: str | None = None,
        container_uuid: str | None = None,
        description: str | None = None,
        public: bool = False,
        group: str | None = None,
        searchable: bool = True,
    ) -> str:
        """Make a function known to the service and return its id.

        Args:
            function: the function; what it imports is best imported inside it.
            function_name: a name for people; the function's own if it is None.
            container_uuid: a registered container to run it in.
            description: a text for people.
            public: whether everybody may use it.
            group: a group whose members may use it.
            searchable: kept for old callers.

        Raises:
            SerializationError: it cannot be sent.
        """
        packed = PackedFunction(function)
        name = function_name or packed.name
        answer = self._web.post(
            "functions",
            body={
                "function_name": name,
                "function_code": packed.body.decode(),
                "function_source": "",
                "container_uuid": container_uuid,
                "entry_point": name,
                "description": description,
                "public": public,
                "group": group,
                "searchable": searchable,
            },
        )
        return str(answer["function_uuid"])

    # --- tasks ---------------------------------------------------------------------------------------------------

    def run(self, *args: Any, endpoint_id: str | None = None, function_id: str | None = None, **kwargs: Any) -> str:
        """Submit one call of a registered function and return the task's id.

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

    def create_batch(self, task_group_id: str | None = None) -> Batch:
        """Return an empty batch; see `Batch.add`."""
        return Batch(task_group_id or self.session_task_group_id)

    def batch_run(self, batch: Batch) -> list[str]:
        """Submit all calls of a batch in one request and return the ids of the tasks.

        Raises:
            FuncxError: of the first call that was not accepted. Its `task_ids` has the ids of all, in order, and
                `accepted` those that were accepted.
        """
        tasks = [
            [parse_id(function_id, "function id"), self.find_endpoint(endpoint), as_text(pack_call(args, kwargs))]
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
                "create_websocket_queue": False,
            },
        )
        return _accepted(answer, task_ids)

    def map_run(
        self,
        *args: Iterable[Any],
        endpoint_id: str | None = None,
        function_id: str | None = None,
        **kwargs: Any,
    ) -> list[str]:
        """Submit a call for each item of the iterables, as the builtin `map` pairs them, and return the tasks' ids."""
        kwargs.pop("asynchronous", None)
        if endpoint_id is None or function_id is None:
            raise UsageError("Name both: map_run(items, endpoint_id='theta', function_id=function_id).")
        batch = self.create_batch()
        for items in zip(*args, strict=False):
            batch.add(function_id, endpoint_id, items, kwargs)
        return self.batch_run(batch)

    def get_task(self, task_id: str) -> dict[str, Any]:
        """Return what the service knows of a task, as it tells it: ``task_id``, ``status``, ``times`` and more."""
        return dict(self._web.get("tasks", parse_id(task_id, "task id")))

    def get_task_status(self, task_id: str) -> dict[str, Any]:
        """Return ``task_id``, ``status`` and ``pending`` of a task, and its ``times`` once there are some."""
        return _status(self.get_task(task_id))

    def get_result(self, task_id: str) -> Any:
        """Return the value of a task, or raise the exception of its function.

        Raises:
            TaskPending: it has not ended; `reason` is its state.
            TaskFailed: it ended without a value, by no fault of its function.
        """
        value, error = value_or_error(self.get_task(task_id))
        if error is not None:
            raise error
        return value

    def get_batch_result(self, task_id_list: list[str]) -> dict[str, dict[str, Any]]:
        """Return for each task ``{"task_id", "status", "pending"}`` and its ``result`` or ``exception`` once it has ended."""
        task_ids = [parse_id(task_id, "task id") for task_id in task_id_list]
        answer = self._web.post("batch_status", body={"task_ids": task_ids})
        return {task_id: _opened(found) for task_id, found in dict(answer["results"]).items()}

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

    # --- endpoints -----------------------------------------------------------------------------------------------

    def get_endpoints(self) -> list[dict[str, Any]]:
        """Return your endpoints: ``uuid``, ``name``, ``state`` (online or offline), ``last_seen``, ``status``."""
        return list(self._web.get("endpoints"))

    def get_endpoint_status(self, endpoint_uuid: str) -> dict[str, Any]:
        """Return the state of an endpoint, given by id or name."""
        return dict(self._web.get("endpoints", self.find_endpoint(endpoint_uuid), "status"))

    def register_endpoint(
        self,
        name: str,
        endpoint_id: str,
        endpoint_version: str | None = None,
        metadata: dict[str, Any] | None = None,
        *,
        public_key: str | None = None,
    ) -> dict[str, Any]:
        """Make an endpoint known to the service and return where it is to connect.

        Args:
            name: its name, unique among your endpoints.
            endpoint_id: its id, made by the caller; the same id registers the same endpoint again.
            endpoint_version: version of its software.
            metadata: plain facts about it.
            public_key: its CURVE public key (Z85); it can connect with no other.
        """
        body: dict[str, Any] = {
            "endpoint_name": name,
            "endpoint_uuid": parse_id(endpoint_id, "endpoint id"),
            "version": endpoint_version or __version__,
        }
        if metadata is not None:
            body["meta"] = metadata
        if public_key is not None:
            body["public_key"] = public_key
        return dict(self._web.post("endpoints", body=body))

    def find_endpoint(self, name_or_id: str) -> str:
        """Return the id of an endpoint given by id or by name.

        Raises:
            EndpointNotFound: no endpoint of yours has that name; the nearest ones are named.
        """
        try:
            return parse_id(name_or_id)
        except InvalidId:
            pass
        known = self._endpoint_ids.get(name_or_id)
        if known is None:
            known = self._endpoint_ids[name_or_id] = _find_by_name(name_or_id, self.get_endpoints())
        return known

    # --- the service ---------------------------------------------------------------------------------------------

    def version_check(self) -> None:
        """Do nothing: the service accepts every client that speaks ``/v2``. Kept for old callers."""

    def get_limits(self) -> dict[str, Any]:
        """Return what the service accepts, in bytes and counts."""
        return dict(self._web.get("limits"))

    def get_events(self, task_id: str, after: int = 0, timeout: float = 0.0) -> dict[str, Any]:
        """Return the entries of a task's event log after a `seq`, waiting for one for at most `timeout` seconds."""
        return dict(
            self._web.get("tasks", parse_id(task_id, "task id"), "events", query=f"after={after:d}&timeout={timeout:g}")
        )

    def logout(self) -> None:
        """Forget the saved token of this service."""
        forget_credentials(self.settings.service_address)

    def close(self) -> None:
        """Close idle connections. The client may be used again."""
        self._web.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.settings.service_address} on Python {platform.python_version()}>"


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
    kept: dict[str, Any] = {name: task[name] for name in ("task_id", "status", "times", "completion_t") if name in task}
    return {**kept, "pending": not is_ended(task)}


def _opened(task: dict[str, Any]) -> dict[str, Any]:
    status = _status(task)
    try:
        value, error = value_or_error(task)
    except TaskPending:
        return status
    return {**status, "exception": error} if error is not None else {**status, "result": value}


def _find_by_name(name: str, endpoints: list[dict[str, Any]]) -> str:
    found = [endpoint for endpoint in endpoints if endpoint.get("name") == name]
    found.sort(key=lambda endpoint: endpoint.get("state") != "online")
    if found:
        return str(found[0]["uuid"])
    names = sorted({str(endpoint.get("name")) for endpoint in endpoints})
    nearest = difflib.get_close_matches(name, names, n=1)
    if nearest:
        raise EndpointNotFound(name, f"Did you mean '{nearest[0]}'?")
    raise EndpointNotFound(
        name, f"There are: {', '.join(names)}." if names else "There is none yet; `funcx up` starts a local one."
    )


__all__ = ["FuncXClient", "NotFound"]
