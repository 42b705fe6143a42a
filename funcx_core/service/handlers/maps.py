"""Maps: submit, look at, cancel and resume many calls as one."""

from __future__ import annotations

import uuid
from typing import Annotated, Final

import msgspec

from funcx_core.errors import NotFound
from funcx_core.ids import (
    MOST_INDICES,
    EndpointId,
    FunctionId,
    GroupId,
    MapId,
    TaskId,
    new_group_id,
    new_map_id,
    parse_id,
)
from funcx_core.protocol.maps import RangeCall, SubmitMap
from funcx_core.protocol.ranges import a_range, listed
from funcx_core.protocol.task import DEFAULT_OPTIONS, TaskOptions
from funcx_core.service.auth.scopes import Scope
from funcx_core.service.config import MAX_HTTP_BODY
from funcx_core.service.handlers.base import ApiHandler
from funcx_core.service.http_errors import body_of_code
from funcx_core.service.map_views import call_view, counts_view, map_view, outcomes_view, range_view
from funcx_core.service.operations.map_calls import told
from funcx_core.service.operations.maps import MOST_ASKED
from funcx_core.service.route import operation

USUAL_RANGES: Final = 1000
"""A map is cut into about so many ranges if its client does not say how."""
LARGEST_RANGE: Final = 1000
MOST_LISTED: Final = 200

Index = Annotated[int, msgspec.Meta(ge=0, lt=MOST_INDICES)]


def _map_id(text: str) -> MapId:
    return MapId(parse_id(text, "map id"))


class MapBody(msgspec.Struct, frozen=True, kw_only=True):
    """Calls of one function, each with a payload as in ``submit``.

    A map that is too large for one request is submitted by several that name the same `map_id` and the same everything:
    each with its first call's index as `start`, all but the last one with `is_last` false. Repeating one is harmless.
    """

    endpoint_id: str
    function_id: str
    payloads: list[str]
    map_id: str | None = None
    task_group_id: str | None = None
    name: str = ""
    about: bytes = b""
    options: TaskOptions = DEFAULT_OPTIONS
    chunksize: Annotated[int, msgspec.Meta(ge=0, le=LARGEST_RANGE)] = 0
    start: Index = 0
    is_last: bool = True


class NewestQuery(msgspec.Struct, frozen=True):
    """How many are wanted."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=MOST_LISTED)] = 50


class Maps(ApiHandler):
    """GET maps, POST maps."""

    max_body = MAX_HTTP_BODY

    @operation(Scope.READ, query=NewestQuery)
    async def get(self) -> None:
        """Reply with the caller's newest maps, newest first."""
        rows = await self.context.operations.maps.newest(self.user, self.read_query(NewestQuery).limit)
        self.reply({"maps": [map_view(row) for row in rows]})

    @operation(Scope.SUBMIT, body=MapBody)
    async def post(self) -> None:
        """Submit calls of one function as one map."""
        message = message_of(self.read_body(MapBody))
        rejected = await self.context.operations.maps.submit(self.user, message) if message.ranges else []
        if rejected:
            error = body_of_code(rejected[0].code, rejected[0].message, fields=rejected[0].fields)
            self.reply(error, error.http_status_code)
            return
        self.reply({"map_id": message.map_id, "task_group_id": message.group_id, "ranges": len(message.ranges)})


class OneMap(ApiHandler):
    """GET maps/{id}, DELETE maps/{id}."""

    @operation(Scope.READ)
    async def get(self, map_id: str) -> None:
        """Reply with a map and how many of its calls are in which state."""
        operations = self.context.operations.maps
        row = await operations.get(self.user, _map_id(map_id))
        self.reply({**map_view(row), "counts": counts_view(await operations.counts(self.user, row.map_id))})

    @operation(Scope.SUBMIT)
    async def delete(self, map_id: str) -> None:
        """Delete a map that has ended, with its arguments and results."""
        known = _map_id(map_id)
        await self.context.operations.maps.delete(self.user, known)
        self.reply({"map_id": known, "deleted": True})


class About(ApiHandler):
    """GET maps/{id}/about."""

    @operation(Scope.READ)
    async def get(self, map_id: str) -> None:
        """Reply with what the client that made a map wrote about it, in base64; the service does not know what it means."""
        known = _map_id(map_id)
        about = await self.context.operations.maps.about(self.user, known)
        self.reply({"map_id": known, "about": about})


class RangesQuery(msgspec.Struct, frozen=True):
    """The `number` after which ranges are wanted."""

    after: Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)] = 0


class Ranges(ApiHandler):
    """GET maps/{id}/ranges?after=N."""

    @operation(Scope.READ, query=RangesQuery)
    async def get(self, map_id: str) -> None:
        """Reply with the tasks that run a map's calls, a page of them, in the order in which they were made."""
        known = _map_id(map_id)
        after = self.read_query(RangesQuery).after
        rows = await self.context.operations.maps.ranges(self.user, known, after=after)
        self.reply({"map_id": known, "ranges": [range_view(row) for row in rows]})


class ResultsQuery(msgspec.Struct, frozen=True):
    """Which calls."""

    start: Index = 0
    count: Annotated[int, msgspec.Meta(ge=1, le=MOST_ASKED)] = 1000


class Results(ApiHandler):
    """GET maps/{id}/results?start=N&count=N."""

    @operation(Scope.READ, query=ResultsQuery)
    async def get(self, map_id: str) -> None:
        """Reply with what became of successive calls; `next` is where to go on, if anything is left.

        `segments` has the values: one pickle for the calls at `indices`, of the value if it is one, else of the list. An
        index that was not asked for is null there.
        """
        query = self.read_query(ResultsQuery)
        known = _map_id(map_id)
        found, left_at = await self.context.operations.maps.outcomes(self.user, known, query.start, query.count)
        self.reply({"map_id": known, **outcomes_view(found), "next": left_at})


class FailuresQuery(msgspec.Struct, frozen=True):
    """The index from which failures are wanted."""

    start: Index = 0


class Failures(ApiHandler):
    """GET maps/{id}/failures?start=N."""

    @operation(Scope.READ, query=FailuresQuery)
    async def get(self, map_id: str) -> None:
        """Reply with the calls that failed and why, by index; `next` is where to go on, if anything is left."""
        known = _map_id(map_id)
        start = self.read_query(FailuresQuery).start
        found, left_at = await self.context.operations.maps.outcomes(
            self.user, known, start, MOST_INDICES - start, only_failed=True
        )
        self.reply({"map_id": known, "failures": outcomes_view(found)["failures"], "next": left_at})


class OneCall(ApiHandler):
    """GET maps/{id}/{index}."""

    @operation(Scope.READ)
    async def get(self, map_id: str, index: str) -> None:
        """Reply with what became of one call."""
        known = _map_id(map_id)
        number = int(index) if index.isascii() and index.isdigit() and len(index) < 12 else -1  # noqa: PLR2004
        found, _ = await self.context.operations.maps.outcomes(self.user, known, max(number, 0), 1)
        for outcome in found:
            for each in told(outcome):
                if each.index == number:
                    self.reply({"map_id": known, **call_view(each)})
                    return
        raise _NoSuchCall(index[:50])


class CancelMapBody(msgspec.Struct, frozen=True):
    """`force` starts at SIGKILL: what is complete of the ranges that run is lost, too."""

    force: bool = False


class CancelMap(ApiHandler):
    """POST maps/{id}/cancel."""

    @operation(Scope.SUBMIT, body=CancelMapBody, optional_body=True, status=202)
    async def post(self, map_id: str) -> None:
        """Ask for the end of what is open of a map. What is complete stays."""
        known = _map_id(map_id)
        operations = self.context.operations.maps
        await operations.cancel(self.user, known, force=self.read_body(CancelMapBody).force)
        self.reply({"map_id": known, "counts": counts_view(await operations.counts(self.user, known))}, 202)


class ResumeBody(msgspec.Struct, frozen=True):
    """`failed`: also what failed."""

    failed: bool = False


class ResumeMap(ApiHandler):
    """POST maps/{id}/resume."""

    @operation(Scope.SUBMIT, body=ResumeBody, optional_body=True)
    async def post(self, map_id: str) -> None:
        """Run again what was cancelled or lost, in ranges of a tenth of the size if it was lost.

        What is still being stopped is not taken: `counts` says how much that is. Ask again when it has ended.
        """
        known = _map_id(map_id)
        operations = self.context.operations.maps
        resumed = await operations.resume(self.user, known, failed=self.read_body(ResumeBody).failed)
        counts = counts_view(await operations.counts(self.user, known))
        self.reply({"map_id": known, "resumed": resumed.calls, "ranges": len(resumed.task_ids), "counts": counts})


class _NoSuchCall(NotFound):
    """The map has no call of this index, or not yet."""

    what = "call of this map with index"
    advice = "A map's calls count from 0; GET maps/{map_id} tells how many there are."


def message_of(body: MapBody) -> SubmitMap:
    """Return what a request asks for, as the message of a map.

    Raises:
        InvalidId: an id is none.
    """
    map_id = MapId(parse_id(body.map_id, "map id") if body.map_id else new_map_id())
    group_id = GroupId(parse_id(body.task_group_id, "task group id") if body.task_group_id else new_group_id())
    function_id = FunctionId(parse_id(body.function_id, "function id"))
    return SubmitMap(
        request=0,
        map_id=map_id,
        endpoint_id=EndpointId(parse_id(body.endpoint_id, "endpoint id")),
        group_id=group_id,
        function_id=function_id,
        ranges=ranges_of(map_id, function_id, body),
        name=body.name,
        options=body.options,
        about=body.about,
    )


def ranges_of(map_id: MapId, function_id: FunctionId, body: MapBody) -> list[RangeCall]:
    """Cut the calls of a request into ranges. Their ids follow from where they begin, so a repeated request is harmless."""
    step = body.chunksize or min(LARGEST_RANGE, max(1, len(body.payloads) // USUAL_RANGES))
    found = []
    for first in range(0, len(body.payloads), step):
        part = [payload.encode(errors="surrogatepass") for payload in body.payloads[first : first + step]]
        start = body.start + first
        is_last = body.is_last and first + step >= len(body.payloads)
        task_id = TaskId(str(uuid.uuid5(uuid.UUID(map_id), str(start))))
        found.append(RangeCall(task_id, function_id, a_range(listed(part)), start, len(part), is_last))
    return found
