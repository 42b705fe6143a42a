"""What becomes of HTTP requests: counted by route and status, and logged if slow, failed, or when all are wanted."""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
from collections import defaultdict
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, Final

from tornado import web

from funcx_core.service.histogram import Times
from funcx_core.service.route import Route

OTHER: Final = "other"
"""Stands for paths that are no routes: there are as many as callers can think of."""

_is_id = re.compile(r"[A-Za-z0-9._-]{1,64}").fullmatch

_log = logging.getLogger("funcx_core.service.http")


class HttpLog:
    """Called once for each request that ended.

    Args:
        slow: seconds after which a request is logged.

    Set `stopping` to let nothing new begin.
    """

    def __init__(self, slow: float) -> None:
        self.slow = slow
        self.stopping = False
        self._under_way = 0
        self._idle = asyncio.Event()
        self.requests: dict[tuple[str, str, int], int] = defaultdict(int)
        self.times: dict[str, Times] = defaultdict(Times)
        self._routes: dict[type, list[tuple[re.Pattern[str], str]]] = {}

    def know(self, routes: Iterable[Route]) -> None:
        """Learn which paths there are."""
        for route in routes:
            self._routes.setdefault(route.handler, []).append((re.compile(route.pattern), route.path))

    def begun(self) -> None:
        """A request came in."""
        self._under_way += 1

    def ended(self) -> None:
        """It was answered, or its caller has gone."""
        self._under_way -= 1
        if not self._under_way:
            self._idle.set()

    async def drained(self, timeout: float) -> bool:
        """Return when no request is under way, at the latest after `timeout` seconds; whether that is so."""
        deadline = asyncio.get_running_loop().time() + timeout
        while self._under_way:
            self._idle.clear()
            try:
                async with asyncio.timeout_at(deadline):
                    await self._idle.wait()
            except TimeoutError:
                return False
        return True

    def finished(self, handler: web.RequestHandler) -> None:
        """Tornado calls this with the handler of each request that was answered."""
        route = self._route_of(handler)
        status = handler.get_status()
        seconds = handler.request.request_time()
        method = (handler.request.method or "")[:10]
        self.requests[method if route != OTHER else "any", route, status] += 1
        self.times[route].add(seconds)
        failed = status >= HTTPStatus.INTERNAL_SERVER_ERROR
        level = logging.WARNING if failed else logging.INFO if seconds >= self.slow else logging.DEBUG
        if _log.isEnabledFor(level):
            _log.log(level, "%s %s: %d", method, route, status, extra=_facts(handler, route, status, seconds))

    def _route_of(self, handler: web.RequestHandler) -> str:
        for pattern, path in self._routes.get(type(handler), ()):
            if pattern.fullmatch(handler.request.path):
                return path
        return OTHER


def _facts(handler: web.RequestHandler, route: str, status: int, seconds: float) -> dict[str, Any]:
    identity = getattr(handler, "identity", None)
    return {
        "request_id": getattr(handler, "request_id", ""),
        "user": "" if identity is None else identity.user.name,
        "method": handler.request.method,
        "route": route,
        "status": status,
        "ms": round(1000 * seconds, 1),
    }


def request_id(asked: str | None) -> str:
    """Return the id that a caller gave its request, if it is one, else a new one."""
    return asked if asked is not None and _is_id(asked) else secrets.token_hex(8)
