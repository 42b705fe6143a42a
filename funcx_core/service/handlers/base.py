"""What every HTTP handler shares: who calls, what the body may be, how errors look."""

from __future__ import annotations

import logging
from http.client import responses
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import msgspec
from tornado import web

from funcx_core.errors import (
    AuthRequired,
    FuncxError,
    InvalidRequest,
    MissingField,
    PayloadTooLarge,
    PermissionDenied,
    ServiceUnavailable,
)
from funcx_core.service.auth.base import Identity
from funcx_core.service.auth.local import digest_of, no_token
from funcx_core.service.auth.scopes import Scope
from funcx_core.service.config import MAX_HTTP_BODY
from funcx_core.service.context import Context
from funcx_core.service.http_errors import ErrorBody, body_of_code, error_body, internal_error
from funcx_core.service.http_log import request_id
from funcx_core.service.route import Operation, declared_operations
from funcx_core.service.store.records import User

T = TypeVar("T")

DISCARD_LIMIT: Final = 2 * MAX_HTTP_BODY
"""A body that is too large by less than this is read and dropped, so that its sender sees the answer."""

_MISSING: Final = "Object missing required field"
"""How msgspec begins to say so."""
_BEARER: Final = "bearer "

_log = logging.getLogger(__name__)


def host_name(host_header: str) -> str:
    """Return the name in a ``Host`` header, without its port."""
    return urlsplit(f"//{host_header}").hostname or ""


class Guard(web.RequestHandler):
    """Checks the host, then the token, before anything else is looked at."""

    context: Context
    identity: Identity
    _request_id: str | None = None
    _is_counted = False

    def initialize(self, context: Context) -> None:
        """Tornado calls this with the keywords of the route."""
        self.context = context

    @property
    def request_id(self) -> str:
        """What the caller's error, the answer's header and the log have in common."""
        if self._request_id is None:
            self._request_id = request_id(self.request.headers.get("X-Request-Id"))
        return self._request_id

    def set_default_headers(self) -> None:
        """Nothing that this service sends is a page."""
        self.clear_header("Server")
        self.set_header("Content-Type", "application/json")
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
        self.set_header("Cache-Control", "no-store")
        self.set_header("X-Request-Id", self.request_id)

    def on_finish(self) -> None:
        """Tornado calls this after the answer."""
        self._stop_counting()

    def on_connection_close(self) -> None:
        """Nobody waits for the answer any more."""
        super().on_connection_close()
        self._stop_counting()

    def _stop_counting(self) -> None:
        if self._is_counted:
            self._is_counted = False
            self.context.http.ended()

    async def prepare(self) -> None:
        """Raise unless the request may be served."""
        if self.context.http.stopping:
            self.set_header("Connection", "close")
            raise ServiceUnavailable("The service is stopping. Try again in a moment.", retry_after=1)
        if self.request.headers.get("Upgrade", "").lower() != "websocket":  # It lasts; it is told to end by itself.
            self._is_counted = True
            self.context.http.begun()
        # A web page of another site can reach loopback under a name of its own (DNS rebinding).
        if host_name(self.request.host) not in self.context.hosts:
            raise PermissionDenied(
                f"This service does not answer to the name '{self.request.host[:100]}'. Use 127.0.0.1 or localhost."
            )
        operations = declared_operations(type(self))
        declared = operations.get((self.request.method or "").lower())
        scopes = [each.scope for each in (operations.values() if declared is None else [declared])]
        # A method that is not there is told only to those who may use one that is.
        if scopes and None not in scopes:
            await self.authenticate()
        if declared is not None and declared.scope is not None:
            self.require(declared.scope)

    async def authenticate(self) -> None:
        """Find out who calls.

        Raises:
            AuthRequired: there is no token, or it is not good.
            RateLimited: this token, or its address with unknown ones, came too often.
        """
        rates = self.context.rates
        key, address = digest_of(self.token), self.request.remote_ip or ""
        rates.check_address(address, key)
        try:
            self.identity = await self.context.authenticator.authenticate(self.token)
        except AuthRequired:
            rates.failed(address)
            raise
        rates.succeeded(key)
        rates.request(key)

    @property
    def user(self) -> User:
        """Who calls."""
        return self.identity.user

    def require(self, scope: Scope) -> None:
        """Raise `PermissionDenied` unless the caller's token has this scope."""
        if scope not in self.identity.scopes:
            raise PermissionDenied(
                f"This token does not have the scope '{scope}' that this needs. Make one that has it: `funcx token`."
            )

    def _declared(self) -> Operation | None:
        return declared_operations(type(self)).get((self.request.method or "").lower())

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
        self.finish(msgspec.json.encode(msgspec.structs.replace(body, request_id=self.request_id)))

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
        return [name.upper() for name in declared_operations(type(self))]

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        """Log faults of ours; what a caller did wrong is told to the caller."""
        if not isinstance(value, FuncxError | web.HTTPError):
            facts = {"request_id": self.request_id, "route": self.request.path}
            _log.error("%s %s failed", self.request.method, self.request.path, exc_info=(typ, value, tb), extra=facts)


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
        """Return the body as a `form`, which must be the declared one.

        Raises:
            PayloadTooLarge: it is longer than this route takes.
            InvalidRequest: it is something else.
        """
        declared = self._declared()
        if declared is None or declared.body is not form:
            raise TypeError(f"{type(self).__qualname__} reads {form.__qualname__}, which it does not declare.")
        if self._too_large is not None:
            raise self._too_large
        content = bytes(self._body)
        if not content and declared.optional_body:
            content = b"{}"
        try:
            return msgspec.json.decode(content, type=form)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            wrong = MissingField if str(error).startswith(_MISSING) else InvalidRequest
            raise wrong(f"The request body cannot be read: {str(error)[:300]}") from None

    def read_query(self, form: type[T]) -> T:
        """Return the query parameters as a `form`, which must be the declared one.

        Raises:
            InvalidRequest: one of them is missing or something else.
        """
        declared = self._declared()
        if declared is None or declared.query is not form:
            raise TypeError(f"{type(self).__qualname__} reads {form.__qualname__}, which it does not declare.")
        given = {name: self.get_query_argument(name) for name in self.request.query_arguments}
        try:
            return msgspec.convert(given, form, strict=False)
        except msgspec.ValidationError as error:
            raise InvalidRequest(f"The query cannot be read: {str(error)[:300]}") from None

    def reply(self, body: Any, status: int = 200) -> None:
        """Answer with JSON."""
        self.set_status(status)
        self.finish(msgspec.json.encode(body))

    @property
    def raw_body(self) -> bytes:
        """The body as it came. Use it after `read_body`, which checks its size."""
        return bytes(self._body)

    def reply_unchanged(self, tag: str) -> None:
        """Answer that the caller's copy with this tag is still good."""
        self.set_status(304)
        self.set_header("ETag", tag)
        self.finish()


class NoSuchRoute(Guard):
    """Whatever is not in the table of routes."""

    async def prepare(self) -> None:
        """Refuse."""
        await super().prepare()
        raise web.HTTPError(404, "There is nothing at this path. The API is below /v2, and described at /docs.")
