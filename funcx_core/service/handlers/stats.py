"""Usage statistics."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import msgspec

from funcx_core.ids import EndpointId, parse_id
from funcx_core.service.auth.scopes import Scope
from funcx_core.service.handlers.base import ApiHandler
from funcx_core.service.route import operation
from funcx_core.service.usage import DAYS, Count

MOST_LISTED: Final = 100
_DAY_SECONDS: Final = 86_400

K = TypeVar("K", bound=str)


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """How many tasks, by state; how many have not ended; and for how many seconds they ran together."""

    tasks: dict[str, int]
    total: int
    open: int
    run_seconds: float


class EndpointUsage(Usage, frozen=True, kw_only=True):
    """What ran on one endpoint. `name` is empty if the caller may not use it any more."""

    endpoint_id: str
    name: str


class FunctionUsage(Usage, frozen=True, kw_only=True):
    """What ran of one function."""

    function_id: str
    name: str


class Day(msgspec.Struct, frozen=True):
    """How many tasks were submitted on a day (UTC)."""

    day: str
    submitted: int


class UserStatistics(Usage, frozen=True, kw_only=True):
    """What a user submitted, as far as it is kept: in all, most used endpoints and functions first, and lately."""

    endpoints: list[EndpointUsage]
    functions: list[FunctionUsage]
    days: list[Day]


class EndpointStatistics(Usage, frozen=True, kw_only=True):
    """What everybody submitted to an endpoint. Whose tasks they are its owner does not learn."""

    endpoint_id: str
    users: int


class StatsHandler(ApiHandler):
    """GET stats."""

    @operation(Scope.READ, reply=UserStatistics)
    async def get(self) -> None:
        """Reply with counts of what the caller submitted; they are a few seconds old at most."""
        operations = self.context.operations
        counts = await operations.statistics.of_user(self.user)
        endpoints = _most(counts.by_endpoint)
        functions = _most(counts.by_function)
        places = {each.endpoint_id: each.name for each in await operations.endpoints.usable(self.user)}
        names = await operations.functions.names([function_id for function_id, _ in functions])
        self.reply(
            UserStatistics(
                **_usage(counts.all),
                endpoints=[
                    EndpointUsage(**_usage(count), endpoint_id=endpoint_id, name=places.get(endpoint_id, ""))
                    for endpoint_id, count in endpoints
                ],
                functions=[
                    FunctionUsage(**_usage(count), function_id=function_id, name=names.get(function_id, ""))
                    for function_id, count in functions
                ],
                days=_days(counts.by_day, int(time.time()) // _DAY_SECONDS),
            )
        )


class EndpointStatsHandler(ApiHandler):
    """GET endpoints/{id}/stats."""

    @operation(Scope.READ, reply=EndpointStatistics)
    async def get(self, endpoint_id: str) -> None:
        """Reply with counts of what anybody submitted to an endpoint of the caller."""
        known = EndpointId(parse_id(endpoint_id, "endpoint id"))
        counts = await self.context.operations.statistics.of_endpoint(self.user, known)
        self.reply(EndpointStatistics(**_usage(counts.all), endpoint_id=known, users=len(counts.owners)))


def _usage(count: Count) -> dict[str, Any]:
    return {
        "tasks": {state.value: number for state, number in sorted(count.states.items()) if number},
        "total": count.states.total(),
        "open": sum(number for state, number in count.states.items() if not state.is_terminal),
        "run_seconds": round(count.run_seconds, 6),
    }


def _most(counts: Mapping[K, Count]) -> list[tuple[K, Count]]:
    return sorted(counts.items(), key=lambda item: -item[1].states.total())[:MOST_LISTED]


def _days(submitted: Mapping[int, int], today: int) -> list[Day]:
    return [
        Day(datetime.fromtimestamp(day * _DAY_SECONDS, UTC).date().isoformat(), submitted.get(day, 0))
        for day in range(today - DAYS + 1, today + 1)
    ]
