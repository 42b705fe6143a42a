"""Where calls go, and the messages that bring them there."""

from __future__ import annotations

import msgspec

from funcx_core.ids import EndpointId, FunctionId, GroupId, MapId
from funcx_core.protocol.client import FromClient, RegisterFunction, Submit
from funcx_core.protocol.maps import RangeCall, SubmitMap
from funcx_core.protocol.task import DEFAULT_OPTIONS, Call, Function, TaskOptions
from funcx_core.sdk.futures import FuncXFuture
from funcx_core.sdk.trust import STRANGER, Reader


class Route(msgspec.Struct, frozen=True):
    """Where and how the calls of a submit run. Calls that share one `Route` object travel together.

    `reader` opens what comes back; without one, plain data is taken and nothing else.
    """

    endpoint_id: EndpointId
    group_id: GroupId
    options: TaskOptions = DEFAULT_OPTIONS
    reader: Reader = STRANGER


class MapRoute(Route, frozen=True):
    """Where and how the ranges of a map run."""

    map_id: MapId = MapId("")
    function_id: FunctionId = FunctionId("")
    name: str = ""
    about: bytes = b""

    def message(self, request: int, ranges: list[RangeCall]) -> SubmitMap:
        """Return what submits these. The first message makes the map, and brings what is written about it."""
        about = self.about if ranges and ranges[0].start == 0 else b""
        return SubmitMap(
            request,
            self.map_id,
            self.endpoint_id,
            self.group_id,
            self.function_id,
            ranges,
            self.name,
            self.options,
            about,
        )


class Request:
    """A message that the service has not answered yet. `calls` is empty for the registration of a function."""

    __slots__ = ("calls", "function", "futures", "is_repeated", "number", "route")

    def __init__(self, number: int, route: Route | None, function: Function | None = None) -> None:
        self.number = number
        self.route = route
        self.function = function
        self.is_repeated = False
        self.futures: list[FuncXFuture] = []
        self.calls: list[Call] = []

    def message(self) -> FromClient | None:
        """Return what to send; None if nothing of it is wanted any more."""
        if self.function is not None:
            return RegisterFunction(self.number, self.function)
        if self.route is None or not self.calls:
            return None
        if isinstance(self.route, MapRoute):
            return self.route.message(self.number, [call for call in self.calls if isinstance(call, RangeCall)])
        return Submit(self.number, self.route.endpoint_id, self.route.group_id, self.calls, self.route.options)

    def drop_ended(self) -> None:
        """Forget the calls whose future was cancelled meanwhile."""
        kept = [pair for pair in zip(self.futures, self.calls, strict=True) if not pair[0].done()]
        self.futures = [future for future, _ in kept]
        self.calls = [call for _, call in kept]
