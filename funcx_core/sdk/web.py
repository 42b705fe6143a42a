"""HTTP to the web service: kept-alive connections, retries, errors as exceptions.

Every request may be repeated: what is created has an id made here. So a lost answer is not a problem, only a delay.
"""

from __future__ import annotations

import http.client
import os
import platform
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import Any, Final, NamedTuple
from urllib.parse import quote, urlsplit

import msgspec

from funcx_core import __version__
from funcx_core.errors import FuncxError, RemoteProtocolError, ServiceUnavailable, TryAgainLater
from funcx_core.sdk.certificates import raise_if_untrusted
from funcx_core.sdk.other_scheme import raise_if_other_scheme
from funcx_core.sdk.settings import Settings
from funcx_core.sdk.wire_errors import error_from_response
from funcx_core.transport.retry import Backoff

_TRIES: Final = 6
_LONGEST_WAIT: Final = 30.0
_CONNECT_TIMEOUT: Final = 10.0
_FIRST_FAILURE: Final = 300
_UNCHANGED: Final = 304
_UNAUTHORIZED: Final = 401
_NO_MORE: Final[Mapping[str, str]] = MappingProxyType({})


def user_agent(user_app_name: str | None = None) -> str:
    """Return how a client introduces itself; published services tell their clients apart by the first word."""
    own = f"funcx-sdk-{__version__} Python/{platform.python_version()}"
    return f"{own} {user_app_name}" if user_app_name else own


class _Answer(NamedTuple):
    """What the service answers: `headers` in lower case, the body as JSON."""

    status: int
    headers: dict[str, str]
    decoded: Any
    size: int


class Tagged(NamedTuple):
    """An answer in JSON that was so many bytes long, and what it is called: nothing if it cannot be asked for again."""

    content: Any
    tag: str
    size: int


class WebClient:
    """Requests to one service, from any thread.

    Args:
        settings: the service and the token.
        timeout: seconds for one try.
        tries: how often a request is tried while the service is unreachable or busy.
        before: called before each request with its method, path and the bytes of its body; may raise.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        timeout: float = 30.0,
        tries: int = _TRIES,
        before: Callable[[str, str, bytes | None], None] | None = None,
    ) -> None:
        self.settings = settings
        self._before = before
        self._pool = _ConnectionPool(settings, timeout)
        self._tries = max(1, tries)
        # A client that is dropped without close() must not leave sockets behind.
        self._finalizer = weakref.finalize(self, self._pool.close)

    def get(self, *path: str, query: str = "") -> Any:
        """Return the JSON at this path below the service's address. Raises as `request` does."""
        return self.request("GET", path, query=query)

    def post(self, *path: str, body: Any) -> Any:
        """Post JSON and return the answer's. Raises as `request` does."""
        return self.request("POST", path, body=body)

    def post_again(self, *path: str, body: Any, tag: str) -> Tagged | None:
        """Post JSON as before and return the answer; None if it is still the one with this `tag`. Raises as `request` does."""
        answer = self._request("POST", path, body=body, tag=tag)
        if answer.status == _UNCHANGED:
            return None
        return Tagged(answer.decoded, answer.headers.get("etag", ""), answer.size)

    def delete(self, *path: str) -> Any:
        """Delete what is at this path and return the answer's JSON. Raises as `request` does."""
        return self.request("DELETE", path)

    def headers(self, *path: str) -> dict[str, str]:
        """Return the headers of the answer at this path, names in lower case. Tries once; raises ServiceUnavailable."""
        return self._pool.exchange("GET", "/".join(path), None)[1]

    def request(self, method: str, path: tuple[str, ...], *, body: Any = None, query: str = "") -> Any:
        """Return the JSON that the service answers.

        Raises:
            FuncxError: the class says what is wrong; `ServiceUnavailable` after the last try.
        """
        return self._request(method, path, body=body, query=query).decoded

    def _request(self, method: str, path: tuple[str, ...], *, body: Any, query: str = "", tag: str = "") -> _Answer:
        url = "/".join(quote(step, safe="") for step in path) + (f"?{query}" if query else "")
        content = None if body is None else msgspec.json.encode(body)
        if self._before is not None:
            self._before(method, url, content)
        backoff = Backoff(0.2, 5.0)
        started = time.monotonic()
        for left in reversed(range(self._tries)):
            try:
                return self._try(method, url, content, {"If-None-Match": tag} if tag else {})
            except TryAgainLater as error:
                if left == 0:
                    raise _tired(error, self._tries, time.monotonic() - started) from error
                time.sleep(min(_LONGEST_WAIT, error.retry_after if error.retry_after is not None else backoff.next()))
        raise AssertionError("The last try returns or raises.")

    @property
    def user_agent(self) -> str:
        """The ``User-Agent`` header."""
        return self._pool.user_agent

    @user_agent.setter
    def user_agent(self, value: str) -> None:
        self._pool.user_agent = value

    def close(self) -> None:
        """Close the connections; they are opened again when needed."""
        self._pool.close()

    def _try(self, method: str, url: str, content: bytes | None, more: dict[str, str]) -> _Answer:
        status, headers, answer = self._pool.exchange(method, url, content, more)
        if status == _UNAUTHORIZED and self.settings.renew():
            status, headers, answer = self._pool.exchange(method, url, content, more)
        if status < _FIRST_FAILURE or (more and status == _UNCHANGED):
            return _Answer(status, headers, _decoded(answer), len(answer))
        try:
            found = _decoded(answer)
        except RemoteProtocolError:
            found = None  # an error page of something in between
        raise error_from_response(
            status, found if isinstance(found, dict) else {}, retry_after=_seconds(headers.get("retry-after"))
        )


class _ConnectionPool:
    """Idle connections to one host. Has no reference to the client, so that dropping the client closes it."""

    def __init__(self, settings: Settings, timeout: float) -> None:
        parts = urlsplit(settings.service_address)
        self._make = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._host = parts.netloc
        self._base = parts.path
        self._timeout = timeout
        self._address = settings.service_address
        self._settings = settings
        self.user_agent = user_agent()
        self._idle: list[http.client.HTTPConnection] = []
        self._lock = threading.Lock()
        _pools.add(self)

    def exchange(
        self, method: str, url: str, content: bytes | None, more: Mapping[str, str] = _NO_MORE
    ) -> tuple[int, dict[str, str], bytes]:
        """Send one request, with `more` headers, and return status, headers (lower case) and body of the answer.

        Raises:
            ServiceUnavailable: there was no answer.
        """
        with self._lock:
            connection = self._idle.pop() if self._idle else None
        if connection is not None:
            try:
                return self._exchange(connection, method, url, content, more)
            except (OSError, http.client.HTTPException):
                pass  # The service closes connections that were idle for long: that is no failed try.
        try:
            return self._exchange(self._connected(), method, url, content, more)
        except (OSError, http.client.HTTPException) as error:
            raise_if_untrusted(self._address, error)
            raise_if_other_scheme(self._address, error)
            raise ServiceUnavailable(f"Cannot reach {self._address} ({str(error) or type(error).__name__})") from error

    def _connected(self) -> http.client.HTTPConnection:
        # An answer may take its time; that somebody is there shows soon.
        connection = self._make(self._host, timeout=min(self._timeout, _CONNECT_TIMEOUT))
        connection.connect()
        connection.timeout = self._timeout
        connection.sock.settimeout(self._timeout)
        return connection

    def close(self) -> None:
        """Close what is idle."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _headers(self) -> dict[str, str]:
        return {**self._settings.headers, "User-Agent": self.user_agent, "Content-Type": "application/json"}

    def _exchange(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        url: str,
        content: bytes | None,
        more: Mapping[str, str],
    ) -> tuple[int, dict[str, str], bytes]:
        try:
            # A request that is too large is answered before it is read: sending fails, and the answer says why.
            with suppress(BrokenPipeError, ConnectionResetError):
                connection.request(method, f"{self._base}/{url}", body=content, headers={**self._headers(), **more})
            response = connection.getresponse()
            body = response.read()
        except BaseException:
            connection.close()
            raise
        if not response.will_close:
            with self._lock:
                self._idle.append(connection)
        return response.status, {name.lower(): value for name, value in response.getheaders()}, body

    def forked(self) -> None:
        """This is a forked child: the idle connections are the parent's."""
        self._lock = threading.Lock()  # The parent may have held it.
        self.close()


_pools: weakref.WeakSet[_ConnectionPool] = weakref.WeakSet()


def _leave_to_the_parent() -> None:
    for pool in list(_pools):
        pool.forked()


os.register_at_fork(after_in_child=_leave_to_the_parent)


def _tired(error: TryAgainLater, tries: int, seconds: float) -> FuncxError:
    if isinstance(error, ServiceUnavailable) and isinstance(error.__cause__, Exception):
        return ServiceUnavailable(
            f"{error}, {tries} tries, {seconds:.1f} s). Is it running? `funcx status` tells.".replace("), ", ", ", 1)
        )
    return error


def _decoded(answer: bytes) -> Any:
    try:
        return msgspec.json.decode(answer) if answer else None
    except msgspec.MsgspecError:
        raise RemoteProtocolError(
            f"The answer of {len(answer)} bytes is not JSON. Is the address that of a funcX service?"
        ) from None


def _seconds(text: str | None) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:  # a date
        return None
