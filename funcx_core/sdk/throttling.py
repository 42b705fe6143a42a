"""A client that keeps to what its service asks: at most so many requests in a while, none larger than so much.

This is politeness, not protection: what a service must not accept it refuses itself.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import msgspec

from funcx_core.errors import MaxRequestsExceeded, MaxRequestSizeExceeded
from funcx_core.protocol.client import Throttle

_USUAL: Final = Throttle()


class SlidingWindow:
    """At most `requests` in any `seconds` seconds. Pure: the time is an argument.

    Args:
        requests: how many are let through.
        seconds: in which time.
    """

    def __init__(self, requests: int, seconds: float) -> None:
        self.requests = requests
        self.seconds = seconds
        self._let_through: deque[float] = deque()

    def ask(self, now: float) -> float:
        """Let a request through and return 0, or return the seconds after which it would be let through."""
        passed = self._let_through
        while passed and now - passed[0] >= self.seconds:
            passed.popleft()
        if len(passed) < self.requests:
            passed.append(now)
            return 0.0
        return (
            max(self.seconds - (now - passed[len(passed) - self.requests]), 1e-9) if self.requests > 0 else self.seconds
        )


class ThrottledBaseClient:
    """The part of `FuncXClient` that holds requests back. Safe from any thread.

    Attributes:
        max_requests: requests in `period` seconds.
        max_request_size: bytes of a request's body.
        period: seconds.
    """

    DEFAULT_MAX_REQUESTS = _USUAL.requests
    DEFAULT_MAX_REQUEST_SIZE = _USUAL.bytes
    DEFAULT_PERIOD = _USUAL.seconds

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.max_requests = self.DEFAULT_MAX_REQUESTS
        self.max_request_size = self.DEFAULT_MAX_REQUEST_SIZE
        self.period = self.DEFAULT_PERIOD
        self._clock = clock
        self._is_asked_for = False
        self._chosen: bool | None = None
        self._window = SlidingWindow(self.max_requests, self.period)
        self._window_lock = threading.Lock()

    @property
    def throttling_enabled(self) -> bool:
        """Whether requests are held back: what was set, else whether the service asks for it (known after the first request)."""
        return self._is_asked_for if self._chosen is None else self._chosen

    @throttling_enabled.setter
    def throttling_enabled(self, value: bool | None) -> None:
        """True or False, or None for what the service asks."""
        self._chosen = value

    @property
    def _needs_limits(self) -> bool:
        """Whether it matters what the service asks for."""
        return self._chosen is not False

    def throttle_max_requests(self) -> None:
        """Count a request.

        Raises:
            MaxRequestsExceeded: there were too many lately; `retry_after` is when to come again.
        """
        with self._window_lock:
            self._window.requests, self._window.seconds = self.max_requests, self.period
            wait = self._window.ask(self._clock())
        if wait > 0:
            raise MaxRequestsExceeded(
                f"More than {self.max_requests} requests in {self.period:g} s; this service asks for no more. Wait {wait:.1f} s, "
                "send many calls as one batch, use FuncXExecutor, or set client.throttling_enabled = False.",
                retry_after=wait,
            )

    def throttle_request_size(self, *request_args: Any, **request_kwargs: Any) -> None:
        """Look at the size of a request: ``(method, path)`` and its `json_body` or `text_body`.

        Raises:
            MaxRequestSizeExceeded: it is a POST of more than `max_request_size` bytes.
        """
        body = request_kwargs.get("json_body")
        content = msgspec.json.encode(body) if body is not None else request_kwargs.get("text_body") or b""
        if request_args[:1] == ("POST",) and len(content) > self.max_request_size:
            raise MaxRequestSizeExceeded(len(content), self.max_request_size, "request")

    def _adopt(self, throttle: Throttle | None) -> None:
        """Take what the service asks for."""
        self._is_asked_for = throttle is not None
        if throttle is not None:
            self.max_requests, self.period, self.max_request_size = throttle.requests, throttle.seconds, throttle.bytes

    def _hold_back(self, method: str, path: str, content: bytes | None) -> None:
        """Raise if this request is over what may be sent."""
        if self.throttling_enabled:
            self.throttle_request_size(method, path, text_body=content)
            self.throttle_max_requests()
