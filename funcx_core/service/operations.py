"""What the service can do for a user. Every face of it (HTTP, stream) calls these and nothing else.

Each operation takes the user it is done for and sees only what is that user's. What it returns has been committed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Final

import msgspec

from funcx_core.errors import EndpointNotFound, FunctionNotFound, FuncxError, TaskGroupNotFound, TaskNotFound
from funcx_core.ids import EndpointId, FunctionId, GroupId, TaskId, UserId
from funcx_core.protocol.client import Limits, Rejection, Submit
from funcx_core.protocol.endpoint import EndpointRegistration
from funcx_core.protocol.handoff import CancelRequested, More, Offer, Submitted
from funcx_core.protocol.task import DEFAULT_OPTIONS, Call, Function, Task, TaskEvent, TaskResult, TaskState
from funcx_core.service.checks import (
    check_endpoint_name,
    check_function,
    check_id,
    check_public_key,
    check_submit,
    fault_of,
)
from funcx_core.service.function_cache import FunctionCache
from funcx_core.service.handoff import Handoff
from funcx_core.service.quota import Quota
from funcx_core.service.store.base import Store
from funcx_core.service.store.records import Endpoint, Receipt, StoredFunction, Submission, TaskRow, User

CANCEL_PAGE: Final = 10_000
ENDPOINT_REMEMBER_SECONDS: Final = 5.0


class ForwarderAddress(msgspec.Struct, frozen=True):
    """Where endpoints find the forwarder."""

    public_key: str
    public_ip: str
    tasks_port: int
    results_port: int
    commands_port: int


class EndpointRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What an endpoint says about itself when it registers."""

    endpoint_id: EndpointId
    name: str
    public_key: str = ""
    version: str = ""
    meta: bytes = b""


class Operations:
    """The operations, on one store and one forwarder."""

    def __init__(self, store: Store, handoff: Handoff, forwarder: ForwarderAddress, limits: Limits) -> None:
        self.limits = limits
        self._store = store
        self._handoff = handoff
        self._forwarder = forwarder
        self._functions = FunctionCache(store)
        self._registering: dict[FunctionId, asyncio.Future[None]] = {}
        self._quota = Quota(store, limits.max_open_tasks, time.monotonic)
        self._usable: dict[tuple[UserId, EndpointId], float] = {}

    # --- functions ---------------------------------------------------------------------------------------------

    async def register_function(
        self, user: User, function: Function, *, description: str = "", public: bool = False
    ) -> None:
        """Make `function` known under its id.

        Raises:
            Conflict: the id is taken by another function.
        """
        check_id(function.function_id, "function id")
        check_function(function.name, function.body, self.limits)
        stored = StoredFunction(
            function=function, owner_id=user.user_id, description=description, public=public, created_at=time.time()
        )
        under_way = self._registering.setdefault(function.function_id, asyncio.get_running_loop().create_future())
        try:
            await self._store.add_function(stored)
            self._functions.add(stored)
        finally:
            self._registering.pop(function.function_id, None)
            if not under_way.done():
                under_way.set_result(None)

    async def function(self, user: User, function_id: FunctionId) -> StoredFunction:
        """Return a function that the user may run; waits for a registration of it that is under way."""
        under_way = self._registering.get(function_id)
        if under_way is not None:
            await asyncio.shield(under_way)
        return await self._functions.get(user.user_id, function_id)

    # --- endpoints ---------------------------------------------------------------------------------------------

    async def register_endpoint(self, user: User, request: EndpointRequest) -> EndpointRegistration:
        """Make an endpoint known, or renew what is known of it, and tell it where the forwarder is."""
        check_id(request.endpoint_id, "endpoint id")
        check_endpoint_name(request.name)
        check_public_key(request.public_key)
        await self._store.save_endpoint(
            Endpoint(
                endpoint_id=request.endpoint_id,
                owner_id=user.user_id,
                name=request.name,
                public_key=request.public_key,
                version=request.version,
                meta=request.meta,
                created_at=time.time(),
            )
        )
        return EndpointRegistration(
            endpoint_id=request.endpoint_id,
            forwarder_pubkey=self._forwarder.public_key,
            public_ip=self._forwarder.public_ip,
            tasks_port=self._forwarder.tasks_port,
            results_port=self._forwarder.results_port,
            commands_port=self._forwarder.commands_port,
        )

    async def endpoints(self, user: User) -> list[Endpoint]:
        """Return the user's endpoints, newest first."""
        return await self._store.endpoints(user.user_id)

    async def endpoint(self, user: User, endpoint_id: EndpointId) -> Endpoint:
        """Return an endpoint of the user."""
        check_id(endpoint_id, "endpoint id")
        found = await self._store.endpoint(endpoint_id)
        if found is None or found.owner_id != user.user_id:
            raise EndpointNotFound(endpoint_id, "`funcx-endpoint list` shows yours.")
        return found

    async def delete_endpoint(self, user: User, endpoint_id: EndpointId) -> None:
        """Delete an endpoint of the user; its open tasks are cancelled."""
        await self.endpoint(user, endpoint_id)
        await self._store.delete_endpoint(user.user_id, endpoint_id)
        self._usable.clear()
        waiting = await self._store.open_tasks(endpoint_id, at_most=self.limits.max_open_tasks)
        for start in range(0, len(waiting), CANCEL_PAGE):
            await self._handoff.put(CancelRequested(endpoint_id, waiting[start : start + CANCEL_PAGE]))

    async def _check_usable(self, user: User, endpoint_id: EndpointId) -> None:
        # Remembered for a moment: a stream submits to the same endpoint thousands of times a second.
        now = time.monotonic()
        key = (user.user_id, endpoint_id)
        if self._usable.get(key, 0) < now:
            await self.endpoint(user, endpoint_id)
            self._usable[key] = now + ENDPOINT_REMEMBER_SECONDS

    # --- submit ------------------------------------------------------------------------------------------------

    async def submit(self, user: User, submit: Submit) -> list[Rejection]:
        """Accept calls and hand them to the forwarder; returns those that were not accepted, each with its reason.

        Raises:
            FuncxError: nothing at all was accepted.
        """
        check_submit(submit, self.limits)
        await self._check_usable(user, submit.endpoint_id)
        functions, rejected = await self._functions_for(user, submit.calls)
        calls = self._acceptable(submit.calls, functions, rejected)
        if not calls:
            return rejected
        await self._quota.take(user.user_id, len(calls))
        receipt = await self._store.submit(
            Submission(
                owner_id=user.user_id,
                endpoint_id=submit.endpoint_id,
                group_id=submit.group_id,
                calls=calls,
                received_at=time.time_ns(),
                options=submit.options,
            )
        )
        rejected += [_conflict(task_id) for task_id in receipt.conflicting]
        await self._hand_over(user, submit, _new_calls(calls, receipt), functions)
        if receipt.repeated:
            # The first time we may have died between the commit and the handing over.
            await self._handoff.put(More(submit.endpoint_id))
        return rejected

    async def _functions_for(
        self, user: User, calls: Sequence[Call]
    ) -> tuple[dict[FunctionId, Function], list[Rejection]]:
        functions: dict[FunctionId, Function] = {}
        missing: dict[FunctionId, FunctionNotFound] = {}
        for function_id in {call.function_id for call in calls}:
            try:
                functions[function_id] = (await self.function(user, function_id)).function
            except FunctionNotFound as error:
                missing[function_id] = error
        if not missing:
            return functions, []
        rejected = [rejection(call.task_id, missing[call.function_id]) for call in calls if call.function_id in missing]
        return functions, rejected

    def _acceptable(
        self, calls: list[Call], functions: dict[FunctionId, Function], rejected: list[Rejection]
    ) -> list[Call]:
        accepted = []
        for call in calls:
            fault = fault_of(call, self.limits)
            if fault is not None:
                rejected.append(rejection(call.task_id, fault))
            elif call.function_id in functions:
                accepted.append(call)
        return accepted

    async def _hand_over(
        self, user: User, submit: Submit, calls: list[Call], functions: dict[FunctionId, Function]
    ) -> None:
        if not calls:
            return
        options = None if submit.options == DEFAULT_OPTIONS else submit.options
        owner_id, group_id = user.user_id, submit.group_id
        offers = [
            Offer(Task(call.task_id, 1, call.function_id, call.payload, options), owner_id, group_id) for call in calls
        ]
        await self._handoff.put(Submitted(submit.endpoint_id, offers, list(functions.values())))

    # --- tasks -------------------------------------------------------------------------------------------------

    async def tasks(self, user: User, task_ids: Sequence[TaskId]) -> dict[TaskId, TaskRow]:
        """Return those of the tasks that are the user's."""
        found = await self._store.tasks(user.user_id, task_ids)
        online: dict[EndpointId, bool] = {}
        for task_id, row in found.items():
            if row.state is TaskState.RECEIVED:
                if row.endpoint_id not in online:
                    endpoint = await self._store.endpoint(row.endpoint_id)
                    online[row.endpoint_id] = endpoint is not None and endpoint.online
                # Short tasks have no row written on their way, so where one waits follows from its endpoint.
                state = TaskState.WAITING_FOR_NODES if online[row.endpoint_id] else TaskState.WAITING_FOR_EP
                found[task_id] = msgspec.structs.replace(row, state=state)
        return found

    async def newest(self, user: User, at_most: int) -> list[tuple[TaskRow, str]]:
        """Return the user's newest tasks, newest first, each with the name of its function."""
        task_ids = await self._store.newest(user.user_id, at_most=at_most)
        rows = await self.tasks(user, task_ids)
        functions = {row.function_id: await self.function(user, row.function_id) for row in rows.values()}
        return [(rows[task_id], functions[rows[task_id].function_id].function.name) for task_id in task_ids]

    async def task(self, user: User, task_id: TaskId) -> TaskRow:
        """Return a task of the user.

        Raises:
            TaskNotFound: there is none.
        """
        check_id(task_id, "task id")
        found = await self.tasks(user, [task_id])
        if task_id not in found:
            raise TaskNotFound(task_id)
        return found[task_id]

    async def results(
        self, user: User, task_ids: Sequence[TaskId], *, at_most_bytes: int
    ) -> tuple[list[TaskResult], list[TaskId]]:
        """Return results of those of the tasks that ended and are the user's, and the ids to ask for next."""
        return await self._store.results(user.user_id, task_ids, at_most_bytes=at_most_bytes)

    async def group(self, user: User, group_id: GroupId) -> list[TaskId]:
        """Return the user's tasks of a group.

        Raises:
            TaskGroupNotFound: there is none.
        """
        check_id(group_id, "task group id")
        found = await self._store.group(user.user_id, group_id)
        if not found:
            raise TaskGroupNotFound(group_id)
        return found

    async def events(self, task_id: TaskId, *, after: int, at_most: int = 1000) -> list[TaskEvent]:
        """Return entries of the log of a task, which the caller knows to be the user's."""
        return await self._store.events(task_id, after=after, at_most=at_most)

    async def cancel(self, user: User, task_ids: Sequence[TaskId], *, force: bool = False) -> None:
        """Ask for the end of those of the tasks that are open and the user's. Their results tell how it went."""
        by_endpoint: dict[EndpointId, list[TaskId]] = {}
        for found in await self._store.request_cancel(user.user_id, task_ids):
            by_endpoint.setdefault(found.endpoint_id, []).append(found.task_id)
        for endpoint_id, ids in by_endpoint.items():
            await self._handoff.put(CancelRequested(endpoint_id, ids, force))


def rejection(task_id: TaskId, error: FuncxError) -> Rejection:
    """Return what a client is told about a call that was not accepted."""
    return Rejection(task_id, error.code, str(error))


def _conflict(task_id: TaskId) -> Rejection:
    return Rejection(
        task_id,
        "resource_conflict",
        f"Task '{task_id}' was submitted before with another function, arguments or options. Use a new id.",
    )


def _new_calls(calls: list[Call], receipt: Receipt) -> list[Call]:
    known = receipt.repeated | receipt.conflicting
    return [call for call in calls if call.task_id not in known] if known else calls
