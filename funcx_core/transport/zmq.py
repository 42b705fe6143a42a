"""CurveZMQ ROUTER and DEALER sockets on an asyncio loop.

`zmq.asyncio` costs about 50 µs a message. Here a socket's file descriptor is watched instead. It is edge-triggered: after
every wake-up the socket is drained until EAGAIN, and `EVENTS` is looked at again after each send, because sending
can swallow the edge. Everything that arrived by one wake-up is handed over in one call, so that batches form by themselves.

Who a ROUTER's peer is, is told by the ZAP ``User-Id`` of the message, never by the routing id it came from: any
client may claim any routing id.
"""

from __future__ import annotations

import asyncio
import errno
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import msgspec
import zmq
from zmq.utils import z85

from funcx_core.errors import ConfigError, TryAgainLater
from funcx_core.home import read_private, write_private

HIGH_WATER_MARK: Final = 10_000
DRAIN_LIMIT: Final = 256
"""Messages taken by one wake-up before the loop's other callbacks get their turn."""
DELIVERIES: Final = 8
"""Deliveries in one turn, while every answer finds a new message waiting."""
ZERO_COPY: Final = 65536
"""Frames from this size on are sent without a copy; below it the bookkeeping costs more than the copy."""
MAX_MESSAGE: Final = 256 * 1024 * 1024


DECISION_WAIT: Final = 0.2
DECISION_TRIES: Final = 25


class KeyPair(msgspec.Struct, frozen=True):
    """A CURVE key pair in Z85 text."""

    public: str
    secret: str

    def __repr__(self) -> str:
        return f"KeyPair(public={self.public!r})"

    @classmethod
    def generate(cls) -> KeyPair:
        """Return a new random pair."""
        public, secret = zmq.curve_keypair()
        return cls(public.decode(), secret.decode())

    @classmethod
    def load_or_create(cls, path: Path) -> KeyPair:
        """Read the pair kept in `path`, or make one and keep it there with mode 0600.

        Raises:
            ConfigError: if the file is not a key pair.
        """
        if path.exists():
            try:
                return msgspec.json.decode(read_private(path), type=cls)
            except msgspec.MsgspecError:
                raise ConfigError(
                    f"{path} is not a key pair. Move it away; a new one is made on the next start."
                ) from None
        pair = cls.generate()
        write_private(path, msgspec.json.encode(pair))
        return pair


class Received(msgspec.Struct, frozen=True, gc=False):
    """One message at a ROUTER: where to answer, who sent it (its CURVE public key in Z85), and what."""

    route: bytes
    sender: str
    body: bytes


class _Channel(ABC):
    """What both kinds of socket share: draining, the outbox, closing."""

    def __init__(self, socket: zmq.Socket[bytes]) -> None:
        self._socket = socket
        self._loop = asyncio.get_running_loop()
        self._outbox: deque[list[bytes]] = deque()
        self._check_is_scheduled = False
        self._loop.add_reader(socket.fileno(), self._ready)
        self._schedule_check()

    def close(self, linger_ms: int = 0) -> None:
        """Close the socket; what is unsent is tried for `linger_ms` more."""
        if self._socket.closed:
            return
        self._loop.remove_reader(self._socket.fileno())
        self._socket.close(linger_ms)

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return bool(self._socket.closed)

    def _schedule_check(self) -> None:
        if not self._check_is_scheduled:
            self._check_is_scheduled = True
            self._loop.call_soon(self._ready)

    def _ready(self) -> None:
        self._check_is_scheduled = False
        for _ in range(DELIVERIES):
            if self._socket.closed:
                return
            # Asking costs a tenth of the exception that an empty socket raises.
            events = int(self._socket.get(zmq.EVENTS))
            if self._outbox:
                while self._outbox and events & zmq.POLLOUT and self._try_send(self._outbox[0]):
                    self._outbox.popleft()
                events = int(self._socket.get(zmq.EVENTS))  # Sending may have taken the news of a message.
            received: list[Any] = []
            while events & zmq.POLLIN and len(received) < DRAIN_LIMIT:
                received.append(self._receive())
                events = int(self._socket.get(zmq.EVENTS))
            if not received:
                # Receiving may have handled the news that the peer reads again, and then no edge will tell.
                if self._outbox and events & zmq.POLLOUT:
                    self._schedule_check()
                return
            try:
                self._deliver(received)
            except BaseException:
                self._schedule_check()  # Whatever the receiver raises, the socket does not fall silent.
                raise
            # The receiver usually answers, which may have swallowed an edge: look again.
        self._schedule_check()

    def _look(self) -> None:
        """Sending may have swallowed the edge that tells of a message, also if it failed."""
        if not self._check_is_scheduled and int(self._socket.get(zmq.EVENTS)) & zmq.POLLIN:
            self._schedule_check()

    def _try_send(self, frames: list[bytes]) -> bool:
        try:
            self._socket.send_multipart(frames, zmq.NOBLOCK, copy=len(frames[-1]) < ZERO_COPY)
        except zmq.Again:
            return False
        return True

    def _send(self, frames: list[bytes]) -> None:
        if self._socket.closed:
            return
        if self._outbox or not self._try_send(frames):
            self._outbox.append(frames)
            self._schedule_check()
        else:
            self._look()

    @abstractmethod
    def _receive(self) -> Any:
        """Return one message without waiting."""

    @abstractmethod
    def _deliver(self, received: list[Any]) -> None:
        """Hand messages on."""


class Dealer(_Channel):
    """The side that connects. `on_messages` gets every list of bodies that arrived together.

    `on_renewed` is called when the connection was lost and is there again: the peer may be another process now, it knows
    this side by another route, and what was on its way to this side is lost. A refused key is final for the socket: libzmq
    does not try again.
    """

    def __init__(
        self,
        context: zmq.Context[Any],
        address: str,
        *,
        server_key: str,
        keys: KeyPair,
        on_messages: Callable[[list[bytes]], None],
        heartbeat_ms: int = 10_000,
        on_renewed: Callable[[], None] | None = None,
    ) -> None:
        socket = context.socket(zmq.DEALER)
        _configure(socket, heartbeat_ms)
        socket.curve_serverkey = server_key.encode()
        socket.curve_publickey = keys.public.encode()
        socket.curve_secretkey = keys.secret.encode()
        socket.reconnect_ivl = 100
        socket.reconnect_ivl_max = 5_000
        self._on_messages = on_messages
        self._watch = None if on_renewed is None else _ConnectionWatch(socket, on_renewed)
        socket.connect(address)
        super().__init__(socket)

    def close(self, linger_ms: int = 0) -> None:
        """Close the socket; what is unsent is tried for `linger_ms` more."""
        if self._watch is not None and not self.closed:
            self._watch.close()
        super().close(linger_ms)

    def send(self, body: bytes) -> None:
        """Send, or keep for sending when the peer is there."""
        self._send([body])

    @property
    def unsent(self) -> int:
        """Messages that wait in this process because the peer does not read."""
        return len(self._outbox)

    def _receive(self) -> bytes:
        return self._socket.recv_multipart(zmq.NOBLOCK)[-1]

    def _deliver(self, received: list[bytes]) -> None:
        self._on_messages(received)


class _ConnectionWatch:
    """Tells when a socket's connection has been made a second time, and each time after."""

    def __init__(self, socket: zmq.Socket[bytes], on_renewed: Callable[[], None]) -> None:
        self._socket = socket
        self._on_renewed = on_renewed
        self._monitor = socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED)
        self._loop = asyncio.get_running_loop()
        self._connected = False
        self._loop.add_reader(self._monitor.fileno(), self._ready)
        self._loop.call_soon(self._ready)

    def close(self) -> None:
        """Stop watching; the socket must still be open."""
        self._loop.remove_reader(self._monitor.fileno())
        self._socket.disable_monitor()
        self._monitor.close(0)

    def _ready(self) -> None:
        if self._monitor.closed:
            return
        handshakes = 0
        try:
            while True:
                self._monitor.recv_multipart(zmq.NOBLOCK)
                handshakes += 1
        except zmq.Again:
            pass
        renewals = handshakes if self._connected else handshakes - 1
        self._connected = self._connected or handshakes > 0
        if renewals > 0:
            self._on_renewed()


class Router(_Channel):
    """The side that binds. `on_messages` gets every list of messages that arrived together."""

    def __init__(
        self,
        context: zmq.Context[Any],
        host: str,
        port: int,
        *,
        keys: KeyPair,
        on_messages: Callable[[list[Received]], None],
        heartbeat_ms: int = 10_000,
    ) -> None:
        socket = context.socket(zmq.ROUTER)
        _configure(socket, heartbeat_ms)
        socket.curve_server = True
        socket.curve_publickey = keys.public.encode()
        socket.curve_secretkey = keys.secret.encode()
        socket.zap_domain = b"funcx"
        socket.router_mandatory = True
        address = f"tcp://{host}:{port or '*'}"
        try:
            socket.bind(address)
        except zmq.ZMQError as error:
            socket.close(0)
            if error.errno == errno.EADDRINUSE:
                raise ConfigError(
                    f"Port {port} on {host} is in use by another process. Stop it, or configure another port."
                ) from None
            raise ConfigError(f"Cannot listen on {address}: {error}.") from None
        self.port = int(socket.last_endpoint.decode().rsplit(":", 1)[1])
        self._on_messages = on_messages
        super().__init__(socket)

    def send(self, route: bytes, body: bytes) -> bool:
        """Send to the peer behind `route`; False if it is not connected or does not read, or this side is closed."""
        if self._socket.closed:
            return False
        try:
            self._socket.send_multipart([route, body], zmq.NOBLOCK, copy=len(body) < ZERO_COPY)
        except zmq.Again:
            return False
        except zmq.ZMQError as error:
            if error.errno == zmq.EHOSTUNREACH:
                return False
            raise
        finally:
            self._look()
        return True

    def _receive(self) -> Received:
        frames = self._socket.recv_multipart(zmq.NOBLOCK, copy=False)
        try:
            sender = frames[-1].get("User-Id")
        except zmq.ZMQError:
            sender = ""
        return Received(frames[0].bytes, str(sender), frames[-1].bytes)

    def _deliver(self, received: list[Received]) -> None:
        self._on_messages(received)


def _configure(socket: zmq.Socket[bytes], heartbeat_ms: int) -> None:
    socket.ipv6 = False
    socket.linger = 0
    socket.sndhwm = HIGH_WATER_MARK
    socket.rcvhwm = HIGH_WATER_MARK
    socket.maxmsgsize = MAX_MESSAGE
    socket.tcp_keepalive = 1
    # A half-open connection (NAT, suspended peer) is noticed and renewed by libzmq itself.
    socket.heartbeat_ivl = heartbeat_ms
    socket.heartbeat_timeout = heartbeat_ms * 3
    socket.heartbeat_ttl = heartbeat_ms * 3
    socket.handshake_ivl = 10_000


class Zap:
    """Decides which CURVE keys may connect to the ROUTERs of a context (RFC 27), and names them.

    `authorize` gets the client's public key (Z85) and returns whether it may connect; if it raises `TryAgainLater` it is asked
    again. The key then arrives as the `sender` of each message. One per context, opened before its routers bind.
    """

    def __init__(self, context: zmq.Context[Any], authorize: Callable[[str], Awaitable[bool]]) -> None:
        self._authorize = authorize
        self._socket = context.socket(zmq.ROUTER)
        self._socket.linger = 0
        self._socket.bind("inproc://zeromq.zap.01")
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop.add_reader(self._socket.fileno(), self._ready)
        self._loop.call_soon(self._ready)

    def close(self) -> None:
        """Stop deciding: every further connection is refused."""
        if self._socket.closed:
            return
        self._loop.remove_reader(self._socket.fileno())
        for task in self._tasks:
            task.cancel()
        self._socket.close(0)

    def _ready(self) -> None:
        if self._socket.closed:
            return
        while True:
            try:
                frames = self._socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            task = self._loop.create_task(self._answer(frames))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _decide(self, key: str) -> list[bytes]:
        # libzmq's clients never try again after an error, and only after their handshake time-out when they are told to
        # try again later. So the answer waits.
        for _ in range(DECISION_TRIES):
            try:
                allowed = await self._authorize(key)
            except TryAgainLater:
                await asyncio.sleep(DECISION_WAIT)
            else:
                return [b"200", b"OK", key.encode()] if allowed else [b"400", b"unknown key", b""]
        return [b"300", b"try again later", b""]

    async def _answer(self, frames: list[bytes]) -> None:
        delimiter = frames.index(b"")
        envelope, request = frames[: delimiter + 1], frames[delimiter + 1 :]
        version, request_id, mechanism, credentials = request[0], request[1], request[5], request[6:]
        key = ""
        if version == b"1.0" and mechanism == b"CURVE" and len(credentials) == 1 and len(credentials[0]) == 32:  # noqa: PLR2004 - the size of a Curve25519 key
            key = z85.encode(credentials[0]).decode()
        status = await self._decide(key) if key else [b"400", b"no key", b""]
        if not self._socket.closed:
            self._socket.send_multipart([*envelope, b"1.0", request_id, *status, b""], zmq.NOBLOCK)
            self._loop.call_soon(self._ready)
