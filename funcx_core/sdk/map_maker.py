"""Makes maps, and finds those that were made before."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any

from funcx_core.errors import FuncxError, UsageError
from funcx_core.ids import EndpointId, FunctionId, GroupId, MapId, new_group_id, new_map_id, parse_id
from funcx_core.protocol.task import Function, TaskOptions
from funcx_core.sdk.map_feed import feed
from funcx_core.sdk.maps import FuncXMap, MapAccess
from funcx_core.sdk.range_sizes import RangeSizes
from funcx_core.sdk.registry import FunctionRegistry
from funcx_core.sdk.routes import MapRoute
from funcx_core.serialize.ranges import pack_range


class MapMaker:
    """Makes and finds the maps of one client, over one stream."""

    def __init__(self, access: MapAccess) -> None:
        self.access = access
        self._registry = FunctionRegistry(access.stream.register)

    def run(
        self,
        fn: Callable[..., Any],
        iterables: tuple[Iterable[Any], ...],
        *,
        endpoint_id: EndpointId,
        chunksize: int | str,
        name: str,
        options: TaskOptions,
    ) -> FuncXMap:
        """Submit the calls as a new map; see `FuncXClient.map`."""
        if not iterables:
            raise UsageError("There is nothing to map over: map(fn, items).")
        calls = zip(*iterables, strict=False)
        return self.submit(fn, calls, endpoint_id=endpoint_id, chunksize=chunksize, name=name, options=options)

    def submit(
        self,
        fn: Callable[..., Any] | Function,
        calls: Iterator[tuple[Any, ...]],
        *,
        endpoint_id: EndpointId,
        chunksize: int | str,
        name: str,
        options: TaskOptions,
        about: bytes = b"",
        pack: Callable[[list[tuple[Any, ...]]], bytes] = pack_range,
        map_id: MapId | None = None,
    ) -> FuncXMap:
        """Submit the calls as a new map.

        Args:
            fn: the function; a `Function` is one that is packed already.
            calls: for each call what `pack` takes: for the usual one, its positional arguments.
            endpoint_id: where to.
            chunksize: calls per task, or ``"auto"``.
            name: a name for people.
            options: of the tasks.
            about: kept by the service, for whoever finds the map later.
            pack: makes the payload of a range.
            map_id: what it is to be known by; a new id if it is None.
        """
        sizes = RangeSizes(chunksize)
        function_id = self._registered(fn)
        reader = self.access.reader_of(endpoint_id)
        route = MapRoute(endpoint_id, new_group_id(), options, reader, map_id or new_map_id(), function_id, name, about)
        made = FuncXMap(self.access, route)
        try:
            for one in feed(self.access.stream, route, calls, sizes, pack):
                made.add(one)
            self.access.stream.flush()
            made.raise_refusal()
        except BaseException:
            # What was submitted of it has no use without the rest.
            with suppress(FuncxError):
                made.cancel()
            raise
        return made

    def _registered(self, fn: Callable[..., Any] | Function) -> FunctionId:
        if not isinstance(fn, Function):
            return self._registry.function_id(fn)
        self.access.stream.register(fn)  # Nobody looks for it again, so nothing keeps its body here.
        return fn.function_id

    def row(self, map_id: str) -> dict[str, Any]:
        """Return what the service tells of a map.

        Raises:
            MapNotFound: there is none, or it is not yours.
        """
        found: dict[str, Any] = self.access.web.get("maps", map_id)
        return found

    def find(self, map_id: str) -> FuncXMap:
        """Return a map of this user that was submitted before; see `FuncXClient.get_map`."""
        known = MapId(parse_id(map_id, "map id"))
        row = self.row(known)
        reader = self.access.reader_of(row["endpoint_id"])
        route = MapRoute(
            endpoint_id=EndpointId(row["endpoint_id"]),
            group_id=GroupId(row["task_group_id"]),
            reader=reader,
            map_id=known,
            function_id=FunctionId(row["function_id"]),
            name=row["name"],
        )
        found = FuncXMap(self.access, route)
        found.look_for_ranges()
        return found
