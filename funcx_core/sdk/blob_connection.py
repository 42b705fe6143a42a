"""One connection to a service's store for large values, and what its answers mean."""

from __future__ import annotations

import http.client
import socket
from contextlib import suppress
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from funcx_core import __version__
from funcx_core.errors import FuncxError, ServiceUnavailable
from funcx_core.protocol.blob import BlobState
from funcx_core.sdk.wire_errors import error_from_response

TIMEOUT: Final = 30.0


def close_all(connections: list[Connection]) -> None:
    """End all of them."""
    for connection in connections:
        connection.abort()


class Connection:
    """A kept-alive connection. `is_usable` once an answer was read to its end."""

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        make = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self.address = address
        self.is_usable = False
        self._base = parts.path
        self._connection = make(parts.netloc, timeout=TIMEOUT)

    def request(
        self, method: str, path: str, body: bytes | memoryview | None, headers: dict[str, str]
    ) -> http.client.HTTPResponse:
        """Send one request and return the answer, whose body is still to be read. Raises OSError and HTTPException."""
        agent = {"User-Agent": f"funcx-sdk-{__version__}"}
        if self._connection.sock is None:
            self._connection.connect()
        # A body that is refused is answered before it is read: sending fails, and the answer says why.
        with suppress(BrokenPipeError, ConnectionResetError):
            self._connection.request(method, f"{self._base}/{path}", body=body, headers={**agent, **headers})
        return self._connection.getresponse()

    def abort(self) -> None:
        """End it, also for a thread that waits on it."""
        with suppress(OSError):
            if self._connection.sock is not None:
                self._connection.sock.shutdown(socket.SHUT_RDWR)
        self._connection.close()


def blob_state(answer: bytes) -> BlobState:
    """Return what an answer says of a blob.

    Raises:
        ServiceUnavailable: it is no answer of a service that keeps blobs.
    """
    try:
        return msgspec.json.decode(answer, type=BlobState)
    except msgspec.MsgspecError:
        raise ServiceUnavailable("What answers is no funcX service that keeps large values.") from None


def refusal(response: http.client.HTTPResponse, answer: bytes) -> FuncxError:
    """Return the error that an answer stands for."""
    try:
        fields: Any = msgspec.json.decode(answer)
    except msgspec.MsgspecError:
        fields = {}
    retry_after = response.headers.get("Retry-After", "")
    return error_from_response(
        response.status,
        fields if isinstance(fields, dict) else {},
        retry_after=float(retry_after) if retry_after.isdigit() else None,
    )
