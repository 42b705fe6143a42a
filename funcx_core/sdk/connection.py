"""Opening the WebSocket of a stream. Imported by the stream's thread: tornado takes 0.15 s."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

import msgspec
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.websocket import WebSocketClientConnection, WebSocketError, websocket_connect

from funcx_core.errors import AuthRequired, ConfigError, FuncxError, PermissionDenied, ServiceUnavailable
from funcx_core.sdk.certificates import raise_if_untrusted, trusted
from funcx_core.sdk.settings import Settings
from funcx_core.sdk.web import user_agent
from funcx_core.sdk.wire_errors import error_from_response

_MOST_FRAME: Final = 256 * 1024 * 1024
_PING_PERIOD: Final = 20.0
_TIMEOUT: Final = 10.0


async def open_socket(settings: Settings, receive: Callable[[str | bytes | None], None]) -> WebSocketClientConnection:
    """Return an open WebSocket; `receive` is called with each message, and with None when it closes.

    Raises:
        ServiceUnavailable: the service is not there; it may be later.
        AuthRequired, PermissionDenied, ConfigError: trying again will not help.
    """
    if settings.authorizer is None and settings.saved is None:
        return await _open(settings, settings.headers, receive)
    try:
        return await _open(settings, await asyncio.to_thread(lambda: settings.headers), receive)
    except AuthRequired:
        if not await asyncio.to_thread(settings.renew):
            raise
    return await _open(settings, await asyncio.to_thread(lambda: settings.headers), receive)


async def _open(
    settings: Settings, headers: dict[str, str], receive: Callable[[str | bytes | None], None]
) -> WebSocketClientConnection:
    request = HTTPRequest(
        settings.stream_address,
        headers=headers,
        user_agent=user_agent(),
        connect_timeout=_TIMEOUT,
        request_timeout=_TIMEOUT,
        ssl_options=trusted(settings.service_address),
    )
    try:
        socket = await websocket_connect(
            request,
            on_message_callback=receive,
            ping_interval=_PING_PERIOD,
            ping_timeout=_PING_PERIOD,
            max_message_size=_MOST_FRAME,
        )
    except HTTPClientError as error:
        raise _refused(settings, error) from None
    except (OSError, WebSocketError) as error:
        raise_if_untrusted(settings.service_address, error)
        raise ServiceUnavailable(
            f"Cannot reach {settings.service_address} ({error or type(error).__name__})."
        ) from None
    if socket.protocol is not None:
        socket.protocol.set_nodelay(True)  # else small frames wait 40 ms for an acknowledgement
    return socket


def _refused(settings: Settings, error: HTTPClientError) -> FuncxError:
    address = settings.service_address
    match error.code:
        case 401:
            return _unauthorized(settings, error)
        case 403:
            return PermissionDenied(f"The service at {address} does not let you in.")
        case 404 | 400 | 405 | 426:
            return ConfigError(f"{address} is no funcX service of ours: it has no stream. Is the address right?")
        case _:
            return ServiceUnavailable(f"The service at {address} answers {error.code}: {error.message}.")


def _unauthorized(settings: Settings, error: HTTPClientError) -> FuncxError:
    """Return why the service does not know who asks, as it says itself."""
    try:
        body = msgspec.json.decode(error.response.body, type=dict[str, Any]) if error.response is not None else {}
    except msgspec.MsgspecError:
        body = {}
    told = error_from_response(401, body)
    if isinstance(told, AuthRequired) and body:
        return told
    return AuthRequired(
        f"The service at {settings.service_address} does not accept your token. `funcx token` on its machine prints a valid one."
    )
