"""Builders for what goes into a store."""

from __future__ import annotations

from funcx_core.ids import EndpointId, FunctionId, GroupId, TaskId, UserId, new_function_id, new_task_id
from funcx_core.protocol.task import DEFAULT_OPTIONS, Call, Function, TaskOptions, TaskResult, TaskState
from funcx_core.service.store.records import Endpoint, StoredFunction, Submission, User

ALICE = User(UserId("00000000-0000-4000-8000-00000000a11c"), "alice")
BOB = User(UserId("00000000-0000-4000-8000-000000000b0b"), "bob")
ENDPOINT = EndpointId("00000000-0000-4000-8000-0000000000e1")
OTHER_ENDPOINT = EndpointId("00000000-0000-4000-8000-0000000000e2")
FUNCTION = FunctionId("00000000-0000-4000-8000-0000000000f1")
GROUP = GroupId("00000000-0000-4000-8000-000000000061")
NOW = 1_700_000_000_000_000_000
KEY = "A" * 40


def a_call(payload: bytes = b"cb\nargs", *, task_id: TaskId | None = None, function_id: FunctionId = FUNCTION) -> Call:
    return Call(task_id or new_task_id(), function_id, payload)


def calls(count: int) -> list[Call]:
    return [a_call(b"cb\n%d" % number) for number in range(count)]


def a_submission(
    *given: Call,
    owner: User = ALICE,
    endpoint_id: EndpointId = ENDPOINT,
    group_id: GroupId = GROUP,
    options: TaskOptions = DEFAULT_OPTIONS,
) -> Submission:
    return Submission(
        owner_id=owner.user_id,
        endpoint_id=endpoint_id,
        group_id=group_id,
        calls=list(given),
        received_at=NOW,
        options=options,
    )


def a_result(task_id: TaskId, value: bytes = b"pb\nvalue", *, attempt: int = 1) -> TaskResult:
    return TaskResult(task_id, attempt, TaskState.SUCCESS, value)


def an_endpoint(
    endpoint_id: EndpointId = ENDPOINT,
    *,
    owner: User = ALICE,
    name: str = "theta",
    key: str = KEY,
    created_at: float = 1,
) -> Endpoint:
    return Endpoint(endpoint_id=endpoint_id, owner_id=owner.user_id, name=name, public_key=key, created_at=created_at)


def a_function(
    body: bytes = b"12\n04\nbody", *, owner: User = ALICE, function_id: FunctionId | None = None, public: bool = False
) -> StoredFunction:
    function = Function(function_id or new_function_id(), "double", body)
    return StoredFunction(function=function, owner_id=owner.user_id, public=public)
