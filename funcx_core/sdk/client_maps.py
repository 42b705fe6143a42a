"""The client's methods about maps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from funcx_core.errors import UsageError
from funcx_core.ids import EndpointId, call_id, new_map_id, parse_id
from funcx_core.protocol.payload import as_text
from funcx_core.protocol.resources import Resources
from funcx_core.sdk.client_tasks import TaskMethods
from funcx_core.sdk.options import task_options
from funcx_core.serialize import pack_call

if TYPE_CHECKING:
    from funcx_core.sdk.map_maker import MapMaker
    from funcx_core.sdk.maps import FuncXMap


MOST_RANGE: Final = 1000
PARALLEL: Final = 1000
"""With fewer calls than this each is a range of its own, so that all of them can run side by side."""
PAGE_CALLS: Final = 10_000
PAGE_BYTES: Final = 8 * 1024 * 1024


class MapMethods(TaskMethods):
    """Many calls of one function as one durable record."""

    _maker: MapMaker | None = None

    def map(
        self,
        fn: Callable[..., Any],
        *iterables: Iterable[Any],
        endpoint_id: str | None = None,
        chunksize: int | str = "auto",
        name: str = "",
        container_id: str | None = None,
        walltime: float | None = None,
        retry_on_loss: int = 0,
        priority: int = 0,
        resources: Resources | Mapping[str, Any] | None = None,
        after: Iterable[Any] = (),
    ) -> FuncXMap:
        """Call ``fn`` on the items of the iterables, as the builtin `map` pairs them, and return the map.

        It returns when the service has all calls on disk. The iterables are read as fast as the service takes them, so they
        may be generators of any length.

        Args:
            fn: the function.
            *iterables: the arguments, one iterable each.
            endpoint_id: id or name of the endpoint; without it the one that is online, if there is just one.
            chunksize: calls per task; ``"auto"`` measures what a call takes.
            name: a name for people.
            container_id: a registered container to run in.
            walltime: seconds after which a task of `chunksize` calls is stopped. What is complete of it stays.
            retry_on_loss: how often a task runs again by itself when its worker, manager or endpoint dies (0 to 10).
            priority: -100 to 100; of your tasks at an endpoint those with the highest number start first.
            resources: what a task needs of its node, such as ``{"cores": 4, "memory_gb": 16, "accelerators": 1}``.
            after: tasks that must succeed before any call runs: futures or ids, at most 64.

        Raises:
            SerializationError: the function or an argument cannot be sent.
            EndpointNotFound: it is unknown.
        """
        return self.map_maker().run(
            fn,
            iterables,
            endpoint_id=EndpointId(self._only_endpoint() if endpoint_id is None else self.find_endpoint(endpoint_id)),
            chunksize=chunksize,
            name=name,
            options=task_options(container_id, walltime, retry_on_loss, priority, resources, after=after),
        )

    def map_run(
        self,
        *args: Iterable[Any],
        endpoint_id: str | None = None,
        function_id: str | None = None,
        **kwargs: Any,
    ) -> list[Any]:
        """Submit a call of a registered function for each item of the iterables, as the builtin `map` pairs them.

        The calls are one map at the service. Each has an id, by which it is asked for like a task (`get_result`,
        `get_batch_result`, `get_task`); these ids are returned.

        Args:
            *args: the arguments, one iterable each.
            endpoint_id: id or name of the endpoint.
            function_id: what `register_function` returned.
            **kwargs: keyword arguments of all calls.
        """
        kwargs.pop("asynchronous", None)
        if endpoint_id is None or function_id is None:
            raise UsageError("Name both: map_run(items, endpoint_id='theta', function_id=function_id).")
        calls = list(zip(*args, strict=False))
        if self.asynchronous:
            batch = self.create_batch()
            for items in calls:
                batch.add(function_id, endpoint_id, items, kwargs)
            return self.batch_run(batch)
        map_id = new_map_id()
        chunksize = max(1, min(MOST_RANGE, len(calls) // PARALLEL))
        body = {
            "map_id": map_id,
            "task_group_id": self.session_task_group_id,
            "endpoint_id": self.find_endpoint(endpoint_id),
            "function_id": parse_id(function_id, "function id"),
            "chunksize": chunksize,
        }
        start = 0
        for payloads in _pages(calls, kwargs, chunksize):
            is_last = start + len(payloads) == len(calls)
            self._web.post("maps", body={**body, "start": start, "payloads": payloads, "is_last": is_last})
            start += len(payloads)
        return [str(call_id(map_id, index)) for index in range(len(calls))]

    def get_map(self, map_id: str) -> FuncXMap:
        """Return a map that was submitted before, by this or another process.

        Raises:
            MapNotFound: there is none, or it is not yours.
        """
        return self.map_maker().find(map_id)

    def get_maps(self, limit: int = 50) -> list[dict[str, Any]]:
        """Return your newest maps, newest first: ``map_id``, ``name``, ``size``, ``endpoint_id``, ``received`` and more."""
        return list(self._web.get("maps", query=f"limit={limit:d}")["maps"])

    def map_maker(self) -> MapMaker:
        """Return what makes and finds maps, for those who build on them."""
        from funcx_core.sdk.map_maker import MapMaker  # noqa: PLC0415 - for those who map
        from funcx_core.sdk.maps import MapAccess  # noqa: PLC0415

        stream = self._results_stream()  # a new one after `close`, and in a forked child
        if self._maker is None or self._maker.access.stream is not stream:
            self._maker = MapMaker(MapAccess(self, self._web, stream, self.reader_of))
        return self._maker

    def _only_endpoint(self) -> str:
        known = self.get_endpoints()
        online = [each for each in known if each.get("state") == "online"] or known
        if len(online) == 1:
            return str(online[0]["uuid"])
        names = ", ".join(sorted(str(each.get("name")) for each in online))
        raise UsageError(
            f"Say where: map(..., endpoint='theta'). There are: {names}."
            if names
            else "There is no endpoint yet; `funcx up` starts a local one."
        )


def _pages(calls: list[tuple[Any, ...]], kwargs: dict[str, Any], chunksize: int) -> Iterator[list[str]]:
    """Yield the payloads of the calls in pages for one request each, cut where ranges are."""
    page: list[str] = []
    size = 0
    for args in calls:
        payload = as_text(pack_call(args, kwargs))
        if page and len(page) % chunksize == 0 and (len(page) >= PAGE_CALLS or size + len(payload) > PAGE_BYTES):
            yield page
            page, size = [], 0
        page.append(payload)
        size += len(payload)
    if page:
        yield page
