"""What users can do with tasks."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from funcx_core.errors import (
    FunctionNotPermitted,
    FuncxError,
    InvalidRequest,
    NotFound,
    RemoteProtocolError,
    TaskGroupNotFound,
    TaskNotFound,
)
from funcx_core.ids import EndpointId, FunctionId, GroupId, TaskId
from funcx_core.protocol.blob import BlobReference, names_blobs, references_of
from funcx_core.protocol.client import Limits, Rejection, Submit
from funcx_core.protocol.features import feature_needed
from funcx_core.protocol.handoff import CancelRequested, More, Offer, Submitted, owner_tag
from funcx_core.protocol.task import (
    DEFAULT_OPTIONS,
    Call,
    Function,
    Task,
    TaskEvent,
    TaskOptions,
    TaskResult,
    TaskState,
)
from funcx_core.service.access import may_run_there
from funcx_core.service.blobs.uploads import Blobs
from funcx_core.service.checks import check_id, checked_submit, fault_of
from funcx_core.service.dependents import Dependents
from funcx_core.service.handoff import Handoff
from funcx_core.service.operations.containers import Containers
from funcx_core.service.operations.endpoints import Endpoints
from funcx_core.service.operations.functions import Functions
from funcx_core.service.operations.map_calls import calls_as_tasks
from funcx_core.service.quota import Quota
from funcx_core.service.store.base import Store
from funcx_core.service.store.records import Receipt, Submission, TaskRow, User

Keep = Callable[[list[Call], TaskOptions], Awaitable[Receipt]]


class Tasks:
    """The tasks of one store."""

    def __init__(
        self,
        store: Store,
        handoff: Handoff,
        *,
        functions: Functions,
        endpoints: Endpoints,
        containers: Containers,
        blobs: Blobs,
        dependents: Dependents,
        limits: Limits,
    ) -> None:
        self._limits = limits
        self._store = store
        self._handoff = handoff
        self._functions = functions
        self._endpoints = endpoints
        self._blobs = blobs
        self._dependents = dependents
        self._containers = containers
        self._quota = Quota(store, limits.max_open_tasks, time.monotonic)

    def change(self, limits: Limits) -> None:
        """Take other limits, from the next request on."""
        self._limits = limits
        self._quota.change(limits.max_open_tasks)

    # --- submit ------------------------------------------------------------------------------------------------

    async def submit(self, user: User, submit: Submit, *, keep: Keep | None = None) -> list[Rejection]:
        """Accept calls and hand them to the forwarder; returns those that were not accepted, each with its reason.

        Args:
            user: who submits.
            submit: what.
            keep: commits the calls that can be accepted, if they are of a kind that the store keeps in another way.

        Raises:
            FuncxError: nothing at all was accepted.
        """
        submit, functions, calls, rejected = await self._examine(user, submit)
        calls = await self._with_blobs(user, submit.endpoint_id, calls, rejected)
        if not calls:
            return rejected
        self._quota.check_size(len(calls))
        await self._quota.take(user.user_id, len(calls))
        receipt = await (keep(calls, submit.options) if keep is not None else self._keep(user, submit, calls))
        rejected += [_conflict(task_id) for task_id in receipt.conflicting]
        if not receipt.is_held:
            await self._hand_over(user, submit, _new_calls(calls, receipt), functions)
        if receipt.repeated:
            # The first time we may have died between the commit and the handing over.
            await self._handoff.put(More(submit.endpoint_id))
        return rejected

    async def _keep(self, user: User, submit: Submit, calls: list[Call]) -> Receipt:
        return await self._store.submit(
            Submission(
                owner_id=user.user_id,
                endpoint_id=submit.endpoint_id,
                group_id=submit.group_id,
                calls=calls,
                received_at=time.time_ns(),
                options=submit.options,
            )
        )

    async def take_over(self, user: User, endpoint_id: EndpointId, tasks: int) -> None:
        """Count tasks that the store made for this user, and have them run."""
        await self._quota.take(user.user_id, tasks)
        await self._handoff.put(More(endpoint_id))

    async def submit_whole(self, user: User, submits: Sequence[Submit]) -> Rejection | None:
        """Accept all calls of these requests or none; returns the first reason why none was accepted.

        Raises:
            FuncxError: nothing at all was accepted.
        """
        for submit in submits:
            *_, rejected = await self._examine(user, submit)
            if rejected:
                return rejected[0]
        accepted: list[TaskId] = []
        for submit in submits:
            try:
                rejected = await self.submit(user, submit)
            except FuncxError:
                await self.cancel(user, accepted)
                raise
            accepted += [call.task_id for call in submit.calls]
            if rejected:  # Something was deleted or revoked since we looked.
                await self.cancel(user, accepted)
                return rejected[0]
        return None

    async def _examine(
        self, user: User, submit: Submit
    ) -> tuple[Submit, dict[FunctionId, Function], list[Call], list[Rejection]]:
        """Return the request with its container, the functions that are called, the calls that can be accepted, and why the others cannot."""
        submit = checked_submit(submit, self._limits)
        allowed = await self._endpoints.usable_for(user, submit.endpoint_id)
        submit = await self._with_container(user, submit)
        functions, rejected = await self._functions_for(user, submit, allowed)
        calls = self._acceptable(submit.calls, functions, rejected)
        return submit, functions, calls, rejected

    async def _with_container(self, user: User, submit: Submit) -> Submit:
        options = submit.options
        image = await self._containers.image(user, options.container_id)
        if options.container == image:
            return submit
        return msgspec.structs.replace(submit, options=msgspec.structs.replace(options, container=image))

    async def check_runnable(self, user: User, endpoint_id: EndpointId, function_id: FunctionId) -> None:
        """Raise unless the user may run this function on this endpoint now.

        Raises:
            EndpointNotFound, FunctionNotFound, FunctionNotPermitted: why not.
        """
        allowed = await self._endpoints.usable_for(user, endpoint_id)
        stored = await self._functions.get(user, function_id)
        if allowed is not None and not may_run_there(function_id, stored.content_hash, allowed):
            raise FunctionNotPermitted(function_id, endpoint_id)

    async def _functions_for(
        self, user: User, submit: Submit, allowed: frozenset[str] | None
    ) -> tuple[dict[FunctionId, Function], list[Rejection]]:
        functions: dict[FunctionId, Function] = {}
        refused: dict[FunctionId, FuncxError] = {}
        for function_id in {call.function_id for call in submit.calls}:
            try:
                stored = await self._functions.get(user, function_id)
                if stored.container_id is not None and submit.options.container_id is None:
                    await self._containers.get(user, stored.container_id)
            except NotFound as error:
                refused[function_id] = error
                continue
            if allowed is None or may_run_there(function_id, stored.content_hash, allowed):
                functions[function_id] = stored.function
            else:
                refused[function_id] = FunctionNotPermitted(function_id, submit.endpoint_id)
        if not refused:
            return functions, []
        calls = [call for call in submit.calls if call.function_id in refused]
        return functions, [rejection(call.task_id, refused[call.function_id]) for call in calls]

    def _acceptable(
        self, calls: list[Call], functions: dict[FunctionId, Function], rejected: list[Rejection]
    ) -> list[Call]:
        accepted = []
        for call in calls:
            fault = fault_of(call, self._limits)
            if fault is not None:
                rejected.append(rejection(call.task_id, fault))
            elif call.function_id in functions:
                accepted.append(call)
        return accepted

    async def _with_blobs(
        self, user: User, endpoint_id: EndpointId, calls: list[Call], rejected: list[Rejection]
    ) -> list[Call]:
        """Let calls use the blobs that they refer to; those that may not, or that the endpoint would not understand, are rejected."""
        naming = [call for call in calls if names_blobs(call.payload)]
        if not naming:
            return calls
        needed = {call.task_id: feature_needed(call.payload) for call in naming}
        unknown = await self._endpoints.not_understood(endpoint_id, set(needed.values()))
        wanted: dict[TaskId, list[BlobReference]] = {}
        refused: dict[TaskId, FuncxError] = {
            task_id: unknown[feature] for task_id, feature in needed.items() if feature in unknown
        }
        for call in naming:
            if call.task_id in refused:
                continue
            try:
                wanted[call.task_id] = references_of(call.payload)
            except RemoteProtocolError as error:
                refused[call.task_id] = InvalidRequest(str(error))
        refused |= await self._blobs.bind(user, wanted)
        rejected += [rejection(task_id, error) for task_id, error in refused.items()]
        return [call for call in calls if call.task_id not in refused]

    async def _hand_over(
        self, user: User, submit: Submit, calls: list[Call], functions: dict[FunctionId, Function]
    ) -> None:
        if not calls:
            return
        options = _options_by_function(_without_after(submit.options), functions)
        owner_id, group_id = user.user_id, submit.group_id
        tag = owner_tag(submit.endpoint_id, owner_id)
        offers = [
            Offer(
                Task(call.task_id, 1, call.function_id, call.payload, options[call.function_id], tag),
                owner_id,
                group_id,
            )
            for call in calls
        ]
        await self._handoff.put(Submitted(submit.endpoint_id, offers, list(functions.values())))

    # --- what became of them -----------------------------------------------------------------------------------

    @property
    def revision(self) -> int:
        """The number of the last change to what is told of tasks; see `Store.revision`."""
        return self._store.revision

    async def many(self, user: User, task_ids: Sequence[TaskId], *, brief: bool = False) -> dict[TaskId, TaskRow]:
        """Return those of the tasks that are the user's; if `brief`, without their values."""
        found = await self._store.tasks(user.user_id, task_ids, brief=brief)
        if len(found) < len(task_ids):
            found |= await calls_as_tasks(
                self._store.maps, user.user_id, [each for each in task_ids if each not in found]
            )
        online: dict[EndpointId, bool] = {}
        for task_id, row in found.items():
            if row.state is TaskState.RECEIVED and not row.waits_for:
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
        rows = await self.many(user, task_ids)
        names = await self._functions.names({row.function_id for row in rows.values()})
        return [(rows[task_id], names.get(rows[task_id].function_id, "")) for task_id in task_ids]

    async def get(self, user: User, task_id: TaskId) -> TaskRow:
        """Return a task of the user.

        Raises:
            TaskNotFound: there is none.
        """
        check_id(task_id, "task id")
        found = await self.many(user, [task_id])
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
        await self._dependents.cancel(user.user_id, task_ids)
        by_endpoint: dict[EndpointId, list[TaskId]] = {}
        for found in await self._store.request_cancel(user.user_id, task_ids):
            by_endpoint.setdefault(found.endpoint_id, []).append(found.task_id)
        for endpoint_id, ids in by_endpoint.items():
            await self._handoff.put(CancelRequested(endpoint_id, ids, force))


def _without_after(options: TaskOptions) -> TaskOptions:
    return msgspec.structs.replace(options, after=()) if options.after else options


def _options_by_function(
    options: TaskOptions, functions: dict[FunctionId, Function]
) -> dict[FunctionId, TaskOptions | None]:
    """Return the options of calls of each function."""
    common: TaskOptions | None = None if options == DEFAULT_OPTIONS else options
    return {
        function_id: common if function.container is None else options.in_container_of(function.container)
        for function_id, function in functions.items()
    }


def rejection(task_id: TaskId, error: FuncxError) -> Rejection:
    """Return what a client is told about a call that was not accepted."""
    return Rejection(task_id, error.code, str(error), error.fields)


def _conflict(task_id: TaskId) -> Rejection:
    return Rejection(
        task_id,
        "resource_conflict",
        f"Task '{task_id}' was submitted before with another function, arguments or options. Use a new id.",
    )


def _new_calls(calls: list[Call], receipt: Receipt) -> list[Call]:
    known = receipt.repeated | receipt.conflicting
    return [call for call in calls if call.task_id not in known] if known else calls
