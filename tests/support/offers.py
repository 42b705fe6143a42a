"""Builders of tasks as the forwarder sees them."""

from __future__ import annotations

from funcx_core.ids import EndpointId, FunctionId, GroupId, TaskId, UserId
from funcx_core.protocol.handoff import Offer, Submitted
from funcx_core.protocol.task import Function, Lease, Task, TaskOptions, TaskResult, TaskState

A = EndpointId("a0000000-0000-4000-8000-000000000000")
B = EndpointId("b0000000-0000-4000-8000-000000000000")
OWNER = UserId("owner")
GROUP = GroupId("group")
F = FunctionId("f0000000-0000-4000-8000-000000000000")
FUNCTION = Function(F, "f", b"body of f")


def a_task(name: str, *, attempt: int = 1, payload: bytes = b"payload", retries: int = 0, function: str = F) -> Task:
    options = TaskOptions(retry_on_loss=retries) if retries else None
    return Task(TaskId(name), attempt, FunctionId(function), payload, options)


def an_offer(name: str, *, group: str = GROUP, cancelling: bool = False, **task: object) -> Offer:
    return Offer(a_task(name, **task), OWNER, GroupId(group), cancelling)  # type: ignore[arg-type]


def submitted(*names: str, endpoint: EndpointId = A, **task: object) -> Submitted:
    return Submitted(endpoint, [an_offer(name, **task) for name in names], [FUNCTION])


def a_result(name: str, *, attempt: int = 1, value: bytes = b"value") -> TaskResult:
    return TaskResult(TaskId(name), attempt, TaskState.SUCCESS, value=value)


def a_lease(name: str, attempt: int = 1) -> Lease:
    return Lease(TaskId(name), attempt)
