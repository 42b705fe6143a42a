"""Submit over HTTP, for scripts and published clients."""

from __future__ import annotations

from typing import Any

import msgspec

from funcx_core.errors import EndpointNotFound, InvalidId, InvalidRequest
from funcx_core.ids import EndpointId, FunctionId, GroupId, TaskId, new_group_id, new_task_id, parse_id
from funcx_core.protocol.client import Rejection, Submit
from funcx_core.protocol.task import DEFAULT_OPTIONS, Call, TaskOptions
from funcx_core.service.auth.scopes import Scope
from funcx_core.service.config import MAX_HTTP_BODY
from funcx_core.service.handlers.base import ApiHandler
from funcx_core.service.http_errors import ErrorBody, body_of_code
from funcx_core.service.operations.tasks import rejection
from funcx_core.service.route import operation

PARTIAL = 207


class SubmitBody(msgspec.Struct, frozen=True, kw_only=True):
    """Tasks are triples of function, endpoint and payload.

    `task_ids` (one for each task), `options` and `large_results` are ours: with ids made by the client, a repeated request is
    harmless; who says `large_results` reads references to blobs.
    """

    tasks: list[tuple[str, str, str]]
    task_group_id: str | None = None
    task_ids: list[str] | None = None
    options: TaskOptions = DEFAULT_OPTIONS
    large_results: bool = False
    create_websocket_queue: Any = None


class Accepted(msgspec.Struct, frozen=True):
    """An item of the reply for a task that is committed."""

    task_uuid: TaskId
    status: str = "Success"
    http_status_code: int = 200


class SubmitHandler(ApiHandler):
    """POST submit."""

    max_body = MAX_HTTP_BODY

    @operation(Scope.SUBMIT, body=SubmitBody, partial_status=PARTIAL)
    async def post(self) -> None:
        """Submit tasks, to one endpoint or several; each has an item of its own in the reply."""
        body = self.read_body(SubmitBody)
        group_id = GroupId(parse_id(body.task_group_id, "task group id") if body.task_group_id else new_group_id())
        task_ids = _task_ids(body)
        faults: dict[TaskId, Rejection] = {}
        for submit in _by_endpoint(body, group_id, task_ids, faults):
            faults.update((fault.task_id, fault) for fault in await self._submit(submit))
        items = [_item(task_id, faults.get(task_id)) for task_id in task_ids]
        self.reply(
            {"response": "success" if not faults else "partial", "task_group_id": group_id, "results": items},
            PARTIAL if faults else 200,
        )

    async def _submit(self, submit: Submit) -> list[Rejection]:
        try:
            return await self.context.operations.tasks.submit(self.user, submit)
        except EndpointNotFound as error:
            return [rejection(call.task_id, error) for call in submit.calls]


def _task_ids(body: SubmitBody) -> list[TaskId]:
    if body.task_ids is None:
        return [new_task_id() for _ in body.tasks]
    if len(body.task_ids) != len(body.tasks) or len(set(body.task_ids)) != len(body.tasks):
        raise InvalidRequest("'task_ids' must have one id for each task, all different.")
    return [TaskId(parse_id(text, "task id")) for text in body.task_ids]


def _by_endpoint(
    body: SubmitBody, group_id: GroupId, task_ids: list[TaskId], faults: dict[TaskId, Rejection]
) -> list[Submit]:
    """Sort the tasks by endpoint; those with malformed ids go to `faults`."""
    calls: dict[EndpointId, list[Call]] = {}
    for task_id, (function, endpoint, payload) in zip(task_ids, body.tasks, strict=True):
        try:
            function_id = FunctionId(parse_id(function, "function id"))
            endpoint_id = EndpointId(parse_id(endpoint, "endpoint id"))
        except InvalidId as error:
            faults[task_id] = rejection(task_id, error)
            continue
        call = Call(task_id, function_id, payload.encode(errors="surrogatepass"))
        calls.setdefault(endpoint_id, []).append(call)
    # Published clients cannot follow a reference: for them a result over the limit is an error, as it always was.
    options = body.options if body.large_results else msgspec.structs.replace(body.options, inline_result=True)
    return [Submit(0, endpoint_id, group_id, mine, options) for endpoint_id, mine in calls.items()]


def _item(task_id: TaskId, fault: Rejection | None) -> Accepted | ErrorBody:
    if fault is None:
        return Accepted(task_id)
    return body_of_code(fault.code, fault.message, fields=fault.fields, task_uuid=task_id)
