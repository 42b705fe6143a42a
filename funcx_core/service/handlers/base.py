"""What every HTTP handler shares: who calls, what the body may be, how errors look."""

from __future__ import annotations

import logging
from http.client import responses
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import msgspec
from tornado import web

from funcx_core.errors import FuncxError, InvalidRequest, PayloadTooLarge, PermissionDenied
from funcx_core.service.auth.local import no_token
from funcx_core.service.config import MAX_HTTP_BODY
from funcx_core.service.context import Context
from funcx_core.service.http_errors import ErrorBody, body_of_code, error_body, internal_error
from funcx_core.service.store.records import User

T = TypeVar("T")

DISCARD_LIMIT: Final = 2 * MAX_HTTP_BODY
"""A body that is too large by less than this is read and dropped, so that its sender sees the answer."""

_BEARER: Final = "bearer "
_METHODS: Final = ("GET", "POST", "PUT", "DELETE")

_log = logging.getLogger(__name__)


def host_name(host_header: str) -> str:
    """Return the name in a ``Host`` header, without its port."""
    return urlsplit(f"//{host_header}").hostname or ""


class Guard(web.RequestHandler):
    """Checks the host, then the token, before anything else is looked at."""

    needs_token = True
    context: Context
    user: User

    def initialize(self, context: Context) -> None:
        """Tornado calls this with the keywords of the route."""
        self.context = context

    def set_default_headers(self) -> None:
        """Nothing that this service sends is a page."""
        self.clear_header("Server")
        self.set_header("Content-Type", "application/json")
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
        self.set_header("Cache-Control", "no-store")

    async def prepare(self) -> None:
        """Raise unless the request may be served."""
        # A web page of another site can reach loopback under a name of its own (DNS rebinding).
        if host_name(self.request.host) not in self.context.hosts:
            raise PermissionDenied(
                f"This service does not answer to the name '{self.request.host[:100]}'. Use 127.0.0.1 or localhost."
            )
        if self.needs_token:
            self.user = await self.context.authenticator.authenticate(self.token)

    @property
    def token(self) -> str:
        """The bearer token of the request.

        Raises:
            AuthRequired: there is none.
        """
        header = self.request.headers.get("Authorization", "")
        if not header.lower().startswith(_BEARER) or not header[len(_BEARER) :].strip():
            raise no_token()
        return header[len(_BEARER) :].strip()

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Answer with an `ErrorBody`."""
        raised = kwargs.get("exc_info", (None, None, None))[1]
        body = self._error_body(status_code, raised)
        if body.retry_after is not None:
            self.set_header("Retry-After", str(max(1, round(body.retry_after))))
        if body.http_status_code == 405:  # noqa: PLR2004 - the HTTP status
            self.set_header("Allow", ", ".join(self._methods()))
        self.set_status(body.http_status_code)
        self.finish(msgspec.json.encode(body))

    def _error_body(self, status_code: int, raised: BaseException | None) -> ErrorBody:
        match raised:
            case FuncxError():
                return error_body(raised)
            case web.HTTPError(status_code=405):
                text = f"{self.request.method} is not possible here; use {' or '.join(self._methods())}."
                return body_of_code("request_malformed", text, http_status=405)
            case web.HTTPError():
                text = raised.log_message or responses.get(status_code, "The request cannot be served.")
                return body_of_code("request_malformed", text, http_status=status_code)
            case _:
                return internal_error()

    def _methods(self) -> list[str]:
        unset = web.RequestHandler._unimplemented_method  # noqa: SLF001 - Tornado has no public name for it
        return [name for name in _METHODS if getattr(type(self), name.lower()) is not unset]

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        """Log faults of ours; what a caller did wrong is told to the caller."""
        if not isinstance(value, FuncxError | web.HTTPError):
            _log.error("%s %s failed", self.request.method, self.request.path, exc_info=(typ, value, tb))


@web.stream_request_body
class ApiHandler(Guard):
    """A JSON handler whose body is bounded before it is read."""

    max_body = 1024 * 1024

    def initialize(self, context: Context) -> None:
        """Start with an empty body."""
        super().initialize(context)
        self._body = bytearray()
        self._too_large: PayloadTooLarge | None = None

    async def prepare(self) -> None:
        """Check the announced size before the body is read."""
        await super().prepare()
        self.request.connection.set_max_body_size(DISCARD_LIMIT)  # type: ignore[union-attr]
        announced = int(self.request.headers.get("Content-Length") or 0)
        if announced > self.max_body:
            self._too_large = PayloadTooLarge(announced, self.max_body, "request")
            if announced > DISCARD_LIMIT or "Expect" in self.request.headers:
                raise self._too_large

    def data_received(self, chunk: bytes) -> None:
        """Keep a part of the body, as long as it is not too large."""
        if self._too_large is None and len(self._body) + len(chunk) > self.max_body:
            self._too_large = PayloadTooLarge(len(self._body) + len(chunk), self.max_body, "request")
            self._body.clear()
        if self._too_large is None:
            self._body += chunk

    def read_body(self, form: type[T]) -> T:
        """Return the body as a `form`.

        Raises:
            PayloadTooLarge: it is longer than this route takes.
            InvalidRequest: it is something else.
        """
        if self._too_large is not None:
            raise self._too_large
        try:
            return msgspec.json.decode(bytes(self._body), type=form)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise InvalidRequest(f"The request body cannot be read: {str(error)[:300]}") from None

    def reply(self, body: Any, status: int = 200) -> None:
        """Answer with JSON."""
        self.set_status(status)
        self.finish(msgspec.json.encode(body))


class NoSuchRoute(Guard):
    """Whatever is not in the table of routes."""

    needs_token = False

    async def prepare(self) -> None:
        """Refuse."""
        await super().prepare()
        raise web.HTTPError(404, "There is nothing at this path. The API is below /v2.")
