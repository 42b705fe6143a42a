"""The proxy of the network tests does what its modes say."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from tests.support.chaosproxy import ChaosProxy


@pytest.fixture
def echo() -> Iterator[tuple[str, int]]:
    """A server that answers with what it gets."""

    def serve(connection: socket.socket) -> None:
        with connection:
            try:
                while chunk := connection.recv(65536):
                    connection.sendall(chunk)
            except OSError:
                pass

    def accept() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield server.getsockname()
        server.shutdown(socket.SHUT_RDWR)
    thread.join(5)


def ask(connection: socket.socket, size: int = 5) -> float:
    """Send and receive so many bytes; return the seconds it took."""
    began = time.monotonic()
    connection.sendall(b"x" * size)
    while size:
        received = connection.recv(65536)
        if not received:
            raise ConnectionError
        size -= len(received)
    return time.monotonic() - began


def test_modes(echo: tuple[str, int]) -> None:
    with ChaosProxy(echo) as proxy:
        address = ("127.0.0.1", proxy.port)
        with socket.create_connection(address, timeout=5) as connection:
            ask(connection)
            proxy.delay(0.1)
            assert ask(connection) >= 0.2
            proxy.throttle(50_000)
            assert ask(connection, 5000) >= 0.2
            proxy.blackhole()
            connection.settimeout(0.2)
            with pytest.raises(TimeoutError):
                ask(connection)
            proxy.pass_on()
            with pytest.raises(ConnectionError):
                ask(connection)
        with socket.create_connection(address, timeout=5) as connection:
            ask(connection)
            assert proxy.reset() == 1
            with pytest.raises(ConnectionResetError):
                ask(connection)
        proxy.refuse()
        # The reset may come before `connect` has looked.
        with pytest.raises(ConnectionError), socket.create_connection(address, timeout=5) as connection:
            ask(connection)
        assert proxy.accepted == 2
