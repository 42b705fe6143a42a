"""Whether an address begins with ``https:`` where plain HTTP is spoken, or the other way: what people read then.

Neither side notices by itself. A client that waits for the handshake of a plain service waits in vain, and a service that waits for
a handshake hangs up on a client without one; both look like a service that is busy or gone.
"""

from __future__ import annotations

import http.client
import socket
import ssl
from typing import Final
from urllib.parse import urlsplit

from funcx_core.errors import ConfigError

_SECONDS: Final = 3.0


def raise_if_other_scheme(address: str, error: object) -> None:
    """Raise `ConfigError` if the service at `address` speaks what the address does not say: trying again is no use.

    It is asked once more, without a token, and only if `error` looks like it. Whatever else is wrong is left to the caller.
    """
    parts = urlsplit(address)
    if parts.scheme == "https":
        suspect = isinstance(error, (TimeoutError, ssl.SSLError, ConnectionResetError))
        found = "http" if suspect and _answers_in_plain(parts.netloc, _place(address, 443)) else None
    else:
        suspect = isinstance(error, (http.client.BadStatusLine, ConnectionResetError))
        found = "https" if suspect and _shakes_hands(_place(address, 80)) else None
    if found is not None:
        said = "speaks HTTPS" if found == "https" else "speaks plain HTTP, not HTTPS"
        raise ConfigError(
            f"What answers at {parts.netloc} {said}. Use {found}{address.removeprefix(parts.scheme)}."
        ) from None


def _place(address: str, port: int) -> tuple[str, int]:
    parts = urlsplit(address)
    return parts.hostname or "", parts.port or port


def _answers_in_plain(name: str, place: tuple[str, int]) -> bool:
    try:
        with socket.create_connection(place, _SECONDS) as connection:
            connection.sendall(f"GET / HTTP/1.0\r\nHost: {name}\r\n\r\n".encode())
            answer = connection.recv(16)
    except OSError:
        return False
    # Servers of HTTPS that do not hang up on a plain request answer it with 400.
    return answer.startswith(b"HTTP/") and answer[9:12] != b"400"


def _shakes_hands(place: tuple[str, int]) -> bool:
    anybody = ssl.create_default_context()
    anybody.check_hostname = False
    # Nothing is said to it. Whether it is to be trusted is asked when its address is right.
    anybody.verify_mode = ssl.CERT_NONE
    try:
        with socket.create_connection(place, _SECONDS) as connection, anybody.wrap_socket(connection):
            return True
    except OSError:
        return False
