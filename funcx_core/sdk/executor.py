"""`FuncXExecutor`: the standard library's `Executor`, with workers anywhere."""

from __future__ import annotations

import threading
import time
import uuid
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor
from types import TracebackType
from typing import Any, NoReturn

import msgspec

from funcx_core.errors import UsageError
from funcx_core.ids import EndpointId, FunctionId, GroupId, TaskId, new_group_id, new_map_id, parse_id
from funcx_core.protocol.resources import Resources
from funcx_core.protocol.task import TaskOptions
from funcx_core.sdk import old_keywords
from funcx_core.sdk.client import FuncXClient
from funcx_core.sdk.futures import FuncXFuture
from funcx_core.sdk.ledger import MOST_CALLS
from funcx_core.sdk.map_feed import feed
from funcx_core.sdk.old_keywords import warn_of_old
from funcx_core.sdk.options import as_resources, upstream_ids
from funcx_core.sdk.options import task_options as _options
from funcx_core.sdk.range_results import Failed
from funcx_core.sdk.range_sizes import RangeSizes
from funcx_core.sdk.registry import FunctionRegistry
from funcx_core.sdk.routes import MapRoute
from funcx_core.sdk.stream import Route, TaskStream
from funcx_core.sdk.transfer import OnProgress
from funcx_core.sdk.waiting import EndpointWarnings
from funcx_core.serialize import pack_call


class FuncXExecutor(Executor):
    """Runs functions on an endpoint; a faithful `concurrent.futures.Executor`.

    >>> with FuncXExecutor("theta") as executor:
    ...     futures = [executor.submit(simulate, seed) for seed in range(100)]
    ...     print(sum(future.result() for future in futures))

    Functions are registered by themselves. Futures have a `task_id`, and `best_effort_cancel()` for tasks that run already.

    Args:
        endpoint_id: id or name of the endpoint. Notebooks for old releases pass a client here and the endpoint to `submit`.
        container_id: a registered container to run in.
        funcx_client: the client whose service and token are used; one is made if it is None.
        task_group_id: the group of the tasks; a new one if it is None. `reload_tasks` finds them by it.
        label: a name of the executor for people, shown by `repr`.
        batch_size: calls per message at most. Batches form by themselves, and a lone call never waits for others.
        walltime: seconds after which a task is stopped with `TaskTimeout`.
        retry_on_loss: how often a started task runs again when its worker, manager or endpoint dies (0 to 10).
        priority: -100 to 100; of your tasks at an endpoint those with the highest number start first.
        resources: what each task needs of its node, such as ``{"cores": 4, "memory_gb": 16, "accelerators": 1}``.
        resource_specification: the name that `resources` has in later releases.
        on_transfer: called with a `Progress` as large arguments go up and large results come down, on the thread that waits
            for them.
    """

    def __init__(  # noqa: PLR0917 - the documented order of arguments
        self,
        endpoint_id: str | FuncXClient | None = None,
        container_id: str | None = None,
        funcx_client: FuncXClient | None = None,
        task_group_id: str | uuid.UUID | None = None,
        label: str = "",
        batch_size: int = MOST_CALLS,
        *,
        walltime: float | None = None,
        retry_on_loss: int = 0,
        priority: int = 0,
        resources: Resources | Mapping[str, Any] | None = None,
        resource_specification: Mapping[str, Any] | None = None,
        on_transfer: OnProgress | None = None,
        **old: Any,
    ) -> None:
        """`old` takes keywords of old releases that have no meaning any more, with a warning; see `old_keywords`."""
        warn_of_old(old, old_keywords.EXECUTOR, "FuncXExecutor")
        if isinstance(endpoint_id, FuncXClient):
            if container_id is not None:  # Releases before 1.0 took (client, label).
                container_id, label = None, str(container_id)
            endpoint_id, funcx_client = None, endpoint_id
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}; it must be at least 1.")
        self.label = label
        self.batch_size = batch_size
        self._routes: dict[str | None, Route] = {}
        self._endpoint = None if endpoint_id is None else str(endpoint_id)
        self._group_id = _group_id(task_group_id)
        self._client = funcx_client
        wanted = resource_specification if resources is None else resources
        self._options = _options(container_id, walltime, retry_on_loss, priority, wanted)
        self._stream: TaskStream | None = None
        self._registry: FunctionRegistry | None = None
        self._opening = threading.Lock()
        self._on_transfer = on_transfer
        self._is_shut_down = False

    @property
    def endpoint_id(self) -> str | None:
        """Id or name of the endpoint of the next submits. May be set at any time; tasks that were submitted stay where they are."""
        return self._endpoint

    @endpoint_id.setter
    def endpoint_id(self, endpoint_id: str | uuid.UUID | None) -> None:
        self._endpoint = None if endpoint_id is None else str(endpoint_id)
        self._routes = {}

    @property
    def container_id(self) -> str | None:
        """The registered container of the next submits. May be set at any time."""
        return self._options.container_id

    @container_id.setter
    def container_id(self, container_id: str | uuid.UUID | None) -> None:
        self._options = self._options_with(container_id)
        self._routes = {}

    @property
    def priority(self) -> int:
        """How urgent the next submits are, from -100 to 100. May be set at any time."""
        return self._options.priority

    @priority.setter
    def priority(self, priority: int) -> None:
        self._options = self._options_with(self.container_id, priority=priority)
        self._routes = {}

    @property
    def resources(self) -> Resources | None:
        """What each of the next submits needs of its node. May be set at any time, also to a dict."""
        return self._options.resources

    @resources.setter
    def resources(self, resources: Resources | Mapping[str, Any] | None) -> None:
        self._options = self._options_with(self.container_id, resources=as_resources(resources))
        self._routes = {}

    @property
    def resource_specification(self) -> dict[str, Any]:
        """The same as `resources`, by the name and in the form of later releases."""
        return {} if self.resources is None else msgspec.to_builtins(self.resources)

    @resource_specification.setter
    def resource_specification(self, specification: Mapping[str, Any] | None) -> None:
        self.resources = specification

    @property
    def task_group_id(self) -> str:
        """The group of the next submits, and of `reload_tasks`. May be set at any time."""
        return self._group_id

    @task_group_id.setter
    def task_group_id(self, task_group_id: str | uuid.UUID) -> None:
        self._group_id = _group_id(task_group_id)
        self._routes = {}

    @property
    def funcx_client(self) -> FuncXClient:
        """The client of this executor."""
        if self._client is None:
            self._client = FuncXClient()
        return self._client

    @property
    def task_count_submitted(self) -> int:
        """How many tasks the service has committed."""
        return 0 if self._stream is None else self._stream.acknowledged

    def register_function(self, fn: Callable[..., Any], function_id: str | None = None, **registration: Any) -> str:
        """Register a function with words of your own, or say under which id it is registered; `submit` uses that id.

        Args:
            fn: the function.
            function_id: its id, if it is registered already: nothing is sent then.
            **registration: further arguments of `FuncXClient.register_function`.

        Raises:
            ValueError: this executor knows the function already.
            RuntimeError: the executor is shut down.
        """
        _, registry = self._running()
        known = registry.known(fn)
        if known is not None:
            raise ValueError(f"Function '{_name(fn)}' is registered already, as {known}.")
        if function_id is None:
            registration.pop("function", None)
            function_id = self.funcx_client.register_function(fn, **registration)
        return registry.remember(fn, FunctionId(parse_id(str(function_id), "function id")))

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> FuncXFuture:
        """Run ``fn(*args, **kwargs)`` on the endpoint and return its future.

        An executor without an endpoint of its own takes `endpoint_id` (and `container_uuid`) from the keywords.

        Arguments over the service's limit for what travels with a task are uploaded first, while the caller waits.

        Raises:
            SerializationError: the function or an argument cannot be sent.
            PayloadTooLarge, BlobQuotaExceeded: the arguments are over the service's limits for large values, too.
            RuntimeError: the executor is shut down.
        """
        route = self._routes.get(None) if self._endpoint is not None else self._route_of(kwargs)
        if route is None:
            route = self._own_route()
        stream, registry = self._running()
        return stream.submit(registry.function_id(fn), pack_call(args, kwargs), route)

    def submit_after(self, after: Iterable[Any], fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> FuncXFuture:
        """Run ``fn(*args, **kwargs)`` when other tasks of yours have succeeded. The service waits, whatever becomes of this process.

        If one of them fails or is cancelled, this one fails with `DependencyError`. Raises as `submit` does.

        Args:
            after: at most 64 futures or task ids, also of other executors and endpoints. One that was just submitted is waited
                for until the service has it.
            fn: the function.
            *args: its positional arguments.
            **kwargs: its keyword arguments.
        """
        route = self._own_route() if self._endpoint is not None else self._route_of(kwargs) or self._own_route()
        options = msgspec.structs.replace(route.options, after=upstream_ids(after))
        stream, registry = self._running()
        waiting = Route(route.endpoint_id, route.group_id, options, route.reader)
        return stream.submit(registry.function_id(fn), pack_call(args, kwargs), waiting)

    def submit_to_registered_function(
        self, function_id: str, args: Iterable[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> FuncXFuture:
        """Run a function that was registered before, by anybody who may share it with you."""
        stream, _ = self._running()
        return stream.submit(
            FunctionId(parse_id(function_id, "function id")), pack_call(tuple(args), kwargs or {}), self._own_route()
        )

    def map(
        self, fn: Callable[..., Any], *iterables: Iterable[Any], timeout: float | None = None, chunksize: int = 1
    ) -> Iterator[Any]:
        """Return the results of ``fn`` on the items of the iterables, in order, as they come.

        Args:
            fn: the function.
            *iterables: the arguments, one iterable each.
            timeout: seconds from now after which the iterator raises `TimeoutError`.
            chunksize: calls per task. With more than one the calls are a map: a task of many costs as much as one of a single
                call, and each call fails by itself.
        """
        if chunksize < 1:
            raise ValueError("chunksize must be >= 1.")
        end = None if timeout is None else time.monotonic() + timeout
        if chunksize == 1:
            futures = [self.submit(fn, *args) for args in zip(*iterables, strict=False)]
            return _results(futures, end)
        stream, registry = self._running()
        own = self._own_route()
        route = MapRoute(own.endpoint_id, own.group_id, own.options, own.reader, new_map_id(), registry.function_id(fn))
        ranges = list(feed(stream, route, zip(*iterables, strict=False), RangeSizes(chunksize)))
        return _values([one.future for one in ranges if one.future is not None], end)

    def reload_tasks(self) -> list[FuncXFuture]:
        """Return futures of all tasks of this executor's group, also of those that another process submitted.

        Tasks that are open in this executor keep the futures that they have.
        """
        stream, _ = self._running()
        task_ids = [TaskId(task_id) for task_id in self.funcx_client.get_task_group(self.task_group_id)]
        known = {task_id: future for task_id in task_ids if (future := stream.future_of(task_id)) is not None}
        others = [task_id for task_id in task_ids if task_id not in known]
        watched = stream.watch(self._group_id, others, reader=self.funcx_client.reader_of_any())
        known.update(zip(others, watched, strict=True))
        return [known[task_id] for task_id in task_ids]

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more tasks. May be called again, to wait or to cancel after all.

        Args:
            wait: return only when all tasks have ended; a callback of a future does not wait.
            cancel_futures: cancel those that are not known to run.
        """
        self._is_shut_down = True
        if self._stream is None:
            return
        if cancel_futures:
            self._stream.cancel_pending()
        if wait and not self._stream.is_own_thread:
            self._stream.drain()
            self._stream.close()
        else:
            self._stream.close_when_idle()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Ctrl-C leaves at once: tasks go on at their endpoint, and `reload_tasks` finds them.
        self.shutdown(wait=kind is None or not issubclass(kind, KeyboardInterrupt))

    def _running(self) -> tuple[TaskStream, FunctionRegistry]:
        if self._is_shut_down:
            raise RuntimeError("cannot schedule new futures after shutdown")
        stream, registry = self._stream, self._registry
        if stream is None or registry is None or stream.is_forked:
            return self._opened()
        return stream, registry

    def _opened(self) -> tuple[TaskStream, FunctionRegistry]:
        """Make the stream, once for each process: a forked child has one of its own."""
        with self._opening:
            if self._stream is None or self._registry is None or self._stream.is_forked:
                warnings = EndpointWarnings(self.funcx_client)
                self._stream = TaskStream(
                    self.funcx_client.settings,
                    batch_size=self.batch_size,
                    on_transfer=self._on_transfer,
                    on_waiting=warnings.look,
                    on_met=warnings.meet,
                )
                self._registry = FunctionRegistry(self._stream.register)
                # The stream of an executor that is dropped without shutdown() ends with its last task.
                weakref.finalize(self, self._stream.close_when_idle).atexit = False
            return self._stream, self._registry

    def _own_route(self) -> Route:
        route = self._routes.get(None)
        if route is None:
            if self.endpoint_id is None:
                raise UsageError(
                    "No endpoint is named. Make the executor with one: FuncXExecutor(endpoint_id='theta')."
                )
            route = self._routes[None] = self._make_route(self.endpoint_id, self._options)
        return route

    def _route_of(self, kwargs: dict[str, Any]) -> Route | None:
        """Take the endpoint out of the keywords of a call, as old releases had it."""
        endpoint = kwargs.pop("endpoint_id", None)
        container = kwargs.pop("container_uuid", None)
        if endpoint is None:
            return None
        key = f"{endpoint} {container}"
        if key not in self._routes:
            options = self._options if container is None else self._options_with(container)
            self._routes[key] = self._make_route(str(endpoint), options)
        return self._routes[key]

    def _options_with(self, container_id: Any, **changes: Any) -> TaskOptions:
        """Return the options of this executor with another container and other changes, all of them checked."""
        own = self._options
        priority, resources = changes.get("priority", own.priority), changes.get("resources", own.resources)
        return _options(container_id, own.walltime, own.retry_on_loss, priority, resources)

    def _make_route(self, endpoint: str, options: TaskOptions) -> Route:
        endpoint_id = EndpointId(self.funcx_client.find_endpoint(endpoint))
        return Route(endpoint_id, self._group_id, options, self.funcx_client.reader_of(endpoint_id))

    def __getstate__(self) -> NoReturn:
        raise TypeError("A FuncXExecutor stays in its process: it has a connection. Make one where it is needed.")

    def __repr__(self) -> str:
        label = f"{self.label}, " if self.label else ""
        return f"{type(self).__name__}<{label}endpoint {self.endpoint_id}>"


def _group_id(text: str | uuid.UUID | None) -> GroupId:
    return GroupId(parse_id(str(text), "task group id")) if text else new_group_id()


def _name(fn: Any) -> str:
    return str(getattr(fn, "__name__", fn))


def _values(futures: list[FuncXFuture], end: float | None) -> Iterator[Any]:
    """Yield the values of ranges in order; raise the exception of a call at its place, and cancel the rest."""
    for found in _results(futures, end):
        results = found.results()
        if found.is_whole and found.is_readable:
            yield from results
            continue
        for result in results:
            if isinstance(result, Failed):
                raise result.exception()
            yield result


def _results(futures: list[FuncXFuture], end: float | None) -> Iterator[Any]:
    """Yield results in order; cancel the rest when the caller stops."""
    futures.reverse()
    try:
        while futures:
            future = futures.pop()
            try:
                yield future.result(None if end is None else end - time.monotonic())
            finally:
                future.cancel()
    finally:
        for future in futures:
            future.cancel()
