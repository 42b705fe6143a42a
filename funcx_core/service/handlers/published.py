"""Routes that only published clients use: submits that are accepted as a whole, and what the old services had besides."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NoReturn

import msgspec

from funcx_core.errors import InvalidRequest, MapNotFound, NoMessageBroker
from funcx_core.ids import EndpointId, FunctionId, GroupId, TaskId, call_id, new_group_id, new_task_id, parse_id
from funcx_core.protocol.client import Submit
from funcx_core.protocol.task import INLINE, Call
from funcx_core.service.auth.scopes import Scope
from funcx_core.service.config import MAX_HTTP_BODY
from funcx_core.service.handlers import maps
from funcx_core.service.handlers.base import ApiHandler
from funcx_core.service.http_errors import body_of_code
from funcx_core.service.route import operation


class WholeSubmit(ApiHandler):
    """Accepts all calls of a request or none, for clients whose reply has no place for the fate of each."""

    max_body = MAX_HTTP_BODY

    async def accept(self, calls: Sequence[tuple[str, str, str]], group_id: GroupId) -> list[TaskId] | None:
        """Submit (function, endpoint, payload) triples; return an id for each, or None if an error was replied."""
        if not calls:
            raise InvalidRequest("The request has no task. Add one to the batch before it is run.")
        task_ids: list[TaskId] = []
        by_endpoint: dict[EndpointId, list[Call]] = {}
        for function, endpoint, payload in calls:
            task_ids.append(new_task_id())
            function_id = FunctionId(parse_id(function, "function id"))
            endpoint_id = EndpointId(parse_id(endpoint, "endpoint id"))
            call = Call(task_ids[-1], function_id, payload.encode(errors="surrogatepass"))
            by_endpoint.setdefault(endpoint_id, []).append(call)
        submits = [Submit(0, endpoint_id, group_id, mine, INLINE) for endpoint_id, mine in by_endpoint.items()]
        fault = await self.context.operations.tasks.submit_whole(self.user, submits)
        if fault is None:
            return task_ids
        error = body_of_code(fault.code, fault.message, fields=fault.fields)
        self.reply(error, error.http_status_code)
        return None


class SubmitBody(msgspec.Struct, frozen=True):
    """Triples of function, endpoint and payload."""

    tasks: list[tuple[str, str, str]]


class SubmitV1(WholeSubmit):
    """POST /v1/submit."""

    @operation(Scope.SUBMIT, body=SubmitBody)
    async def post(self) -> None:
        """Submit tasks as funcX 0.0.3 does: all are accepted, or none."""
        task_ids = await self.accept(self.read_body(SubmitBody).tasks, GroupId(new_group_id()))
        if task_ids is not None:
            self.reply({"status": "Success", "task_uuids": task_ids})


class MapBody(msgspec.Struct, frozen=True):
    """One function for many payloads. With several endpoints the payloads are dealt out in turn.

    `is_async` is what the client does with the answer; the service does the same either way.
    """

    endpoints: list[str]
    func: str
    payload: list[str]
    is_async: Any = None


class SubmitBatch(WholeSubmit):
    """POST submit_batch: `map_run` of funcX 0.x."""

    @operation(Scope.SUBMIT, body=MapBody)
    async def post(self) -> None:
        """Submit one function with many payloads: all are accepted, or none. To one endpoint they are one map."""
        body = self.read_body(MapBody)
        if not body.endpoints:
            raise InvalidRequest("'endpoints' is empty; name at least one.")
        if len(body.endpoints) == 1 and body.payload:
            await self._map(body)
            return
        group_id = GroupId(new_group_id())
        calls = [
            (body.func, body.endpoints[index % len(body.endpoints)], payload)
            for index, payload in enumerate(body.payload)
        ]
        task_ids = await self.accept(calls, group_id)
        if task_ids is not None:
            self.reply({"status": "Success", "task_uuids": task_ids, "task_group_id": group_id})

    async def _map(self, body: MapBody) -> None:
        asked = maps.MapBody(endpoint_id=body.endpoints[0], function_id=body.func, payloads=body.payload)
        message = maps.message_of(asked)
        rejected = await self.context.operations.maps.submit(self.user, message)
        if rejected:
            with suppress(MapNotFound):  # None at all was accepted.
                await self.context.operations.maps.cancel(self.user, message.map_id)
            error = body_of_code(rejected[0].code, rejected[0].message, fields=rejected[0].fields)
            self.reply(error, error.http_status_code)
            return
        task_ids = [call_id(message.map_id, index) for index in range(len(body.payload))]
        self.reply({"status": "Success", "task_uuids": task_ids, "task_group_id": message.group_id})


class Broker(ApiHandler):
    """GET get_amqp_result_connection_url."""

    @operation(Scope.READ)
    async def get(self) -> NoReturn:
        """Say that results are not given out by a message broker here."""
        raise NoMessageBroker(
            "No message broker is configured at this service. Ask for results by the client's `get_result` and "
            "`get_batch_result`, or use an executor that needs none: that of this service's own funcx, or of funcx 0.3."
        )


class Authenticate(ApiHandler):
    """GET authenticate."""

    @operation(Scope.READ)
    async def get(self) -> None:
        """Reply with whose token it is that the request has."""
        self.reply({"status": "Success", "user_id": self.user.user_id, "username": self.user.name})
