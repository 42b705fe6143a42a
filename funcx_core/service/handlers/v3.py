"""What the successor of funcX 1.0 sends to ``/v3``."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from funcx_core.errors import InvalidRequest, NoMessageBroker
from funcx_core.ids import EndpointId, GroupId, new_endpoint_id, new_function_id, new_group_id, parse_id
from funcx_core.protocol.payload import pack_buffers
from funcx_core.protocol.task import Function
from funcx_core.service.auth.scopes import Scope
from funcx_core.service.config import MAX_HTTP_BODY
from funcx_core.service.handlers.base import ApiHandler
from funcx_core.service.handlers.published import WholeSubmit
from funcx_core.service.operations.endpoints import EndpointRequest
from funcx_core.service.operations.functions import FunctionRequest
from funcx_core.service.route import operation

OUR_RESULTS: Final = frozenset({"DillDataBase64", "AllDataStrategies"})
"""Ways to serialize a result that ours can be read by, as their names end."""


class FunctionBody(msgspec.Struct, frozen=True, kw_only=True):
    """A function. With `serialized` false, `function_code` is plain source. `meta` says what it was made with."""

    function_name: str
    function_code: str
    serialized: bool = True
    meta: Any = None
    description: str | None = None
    public: bool | None = None
    group: str | None = None
    ha_endpoint_id: str | None = None


class Functions(ApiHandler):
    """POST /v3/functions."""

    max_body = MAX_HTTP_BODY

    @operation(Scope.SUBMIT, body=FunctionBody)
    async def post(self) -> None:
        """Register a function, serialized or as source."""
        body = self.read_body(FunctionBody)
        if body.ha_endpoint_id is not None:
            raise InvalidRequest("There are no high-assurance endpoints here; leave out 'ha_endpoint_id'.")
        code = body.function_code
        if not body.serialized:
            code = pack_buffers([f"st\n{body.function_name}:{code}"])
        function_id = new_function_id()
        await self.context.operations.functions.register(
            self.user,
            FunctionRequest(
                function=Function(function_id, body.function_name, code.encode(errors="surrogatepass")),
                description=body.description or "",
                public=bool(body.public),
                group=body.group,
                entry_point=body.function_name,
            ),
        )
        self.reply({"function_uuid": function_id})


class SubmitBody(msgspec.Struct, frozen=True, kw_only=True):
    """Payloads by function. `user_runtime` says what the client runs on, `create_queue` whether it looks for a broker."""

    tasks: dict[str, list[str]]
    task_group_id: str | None = None
    create_queue: Any = None
    user_runtime: Any = None
    resource_specification: dict[str, Any] | None = None
    user_endpoint_config: dict[str, Any] | None = None
    result_serializers: list[str] | None = None


class SubmitReply(msgspec.Struct, frozen=True):
    """Ids in the order of the payloads, by the function as the request named it."""

    tasks: dict[str, list[str]]
    task_group_id: str
    request_id: str
    endpoint_id: str


class Submit(WholeSubmit):
    """POST /v3/endpoints/{id}/submit."""

    @operation(Scope.SUBMIT, body=SubmitBody, reply=SubmitReply)
    async def post(self, endpoint_id: str) -> None:
        """Submit tasks to one endpoint: all are accepted, or none."""
        body = self.read_body(SubmitBody)
        _check_possible(body)
        known = EndpointId(parse_id(endpoint_id, "endpoint id"))
        group_id = GroupId(parse_id(body.task_group_id, "task group id") if body.task_group_id else new_group_id())
        calls = [(function, known, payload) for function, payloads in body.tasks.items() for payload in payloads]
        task_ids = await self.accept(calls, group_id)
        if task_ids is None:
            return
        left = iter(task_ids)
        tasks = {function: [str(next(left)) for _ in payloads] for function, payloads in body.tasks.items()}
        self.reply(SubmitReply(tasks, group_id, new_group_id(), known))


def _check_possible(body: SubmitBody) -> None:
    """Raise `InvalidRequest` for what endpoints of this service do not do, rather than run it in another way."""
    if body.resource_specification:
        raise InvalidRequest(
            "Endpoints of this service take no 'resource_specification'; each task runs in one worker."
        )
    if body.user_endpoint_config:
        raise InvalidRequest(
            "Endpoints of this service take no 'user_endpoint_config'; what they run with is in their config.py."
        )
    if body.result_serializers and not any(name.rsplit(".", 1)[-1] in OUR_RESULTS for name in body.result_serializers):
        raise InvalidRequest(
            f"Results come as {' or '.join(sorted(OUR_RESULTS))} here; 'result_serializers' has neither. Leave it out."
        )


class EndpointBody(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint. `metadata` has the version of the agent that registers itself.

    The fields from `multi_user` on are known, and refused when they are set.
    """

    endpoint_name: str
    metadata: dict[str, Any] = {}
    display_name: str | None = None
    public: bool | UnsetType | None = UNSET
    allowed_functions: list[str] | UnsetType | None = UNSET
    multi_user: bool | None = None
    high_assurance: bool | None = None
    authentication_policy: str | None = None
    subscription_uuid: str | None = None
    admins: list[str] | None = None

    def check_possible(self) -> None:
        """Raise `InvalidRequest` for what endpoints of this service are not, rather than leave it out."""
        for name in ("multi_user", "high_assurance", "authentication_policy", "subscription_uuid", "admins"):
            if getattr(self, name):
                raise InvalidRequest(f"Endpoints of this service have no '{name}'; leave it out.")


class _Registration(ApiHandler):
    """Endpoints that are registered in advance, by scripts. Agents of the successor need a broker."""

    async def register(self, endpoint_id: EndpointId) -> None:
        """Register an endpoint under this id."""
        body = self.read_body(EndpointBody)
        body.check_possible()
        if "endpoint_version" in body.metadata:
            raise NoMessageBroker(
                "No message broker is configured at this service, and this kind of endpoint needs one. "
                "Use `funcx-endpoint` of this service's own release."
            )
        meta = body.metadata if body.display_name is None else {**body.metadata, "display_name": body.display_name}
        request = EndpointRequest(
            endpoint_id=endpoint_id,
            name=body.endpoint_name,
            meta=msgspec.json.encode(meta) if meta else b"",
            public=body.public if body.public is UNSET else bool(body.public),
            allowed_functions=body.allowed_functions,
        )
        self.reply(await self.context.operations.endpoints.register(self.user, request))


class Endpoints(_Registration):
    """POST /v3/endpoints."""

    @operation(Scope.ENDPOINTS, body=EndpointBody)
    async def post(self) -> None:
        """Register an endpoint under a new id."""
        await self.register(new_endpoint_id())


class OneEndpoint(_Registration):
    """PUT /v3/endpoints/{id}."""

    @operation(Scope.ENDPOINTS, body=EndpointBody)
    async def put(self, endpoint_id: str) -> None:
        """Register an endpoint of the caller again."""
        known = EndpointId(parse_id(endpoint_id, "endpoint id"))
        await self.context.operations.endpoints.own(self.user, known)
        await self.register(known)
