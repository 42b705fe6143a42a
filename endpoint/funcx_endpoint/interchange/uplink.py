"""The session with the forwarder: opened, kept, and opened again for as long as it takes.

Three sockets, one per channel. Registering again on the same sockets is enough when a connection was renewed or the forwarder
lost the session. When the forwarder is silent, the endpoint asks the web service anew where the forwarder is.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Final, Protocol

import zmq

from funcx_core.errors import FuncxError, RemoteProtocolError, ResourceLocked, TryAgainLater
from funcx_core.protocol.codec import Decoder, encode
from funcx_core.protocol.endpoint import (
    Attach,
    Cancel,
    EndpointHeartbeat,
    EndpointRegistration,
    Environments,
    Events,
    GiveBack,
    Goodbye,
    Heartbeat,
    Refused,
    Register,
    Registered,
    ResultsAck,
    TaskBatch,
    Transitions,
    Window,
    commands_from_forwarder,
    results_from_forwarder,
    tasks_from_forwarder,
)
from funcx_core.protocol.environment import Environment
from funcx_core.transport.retry import Backoff
from funcx_core.transport.zmq import Dealer, KeyPair
from funcx_endpoint.interchange.unheard import Unheard

_log = logging.getLogger(__name__)

FIRST_PAUSE: Final = 0.2
LONGEST_PAUSE: Final = 15.0
ANSWER_WITHIN: Final = 5.0
"""Seconds to wait for `Registered` before the forwarder is looked for anew."""
SILENT_PERIODS: Final = 3
FAREWELL_MS: Final = 500


class Handler(Protocol):
    """What the uplink asks of the agent."""

    def registration(self) -> Register:
        """Return the message that opens a session, as of now."""

    def session_opened(self, registered: Registered) -> None:
        """The session is open: send what waits."""

    def session_closed(self) -> None:
        """The session is over; another one will be opened."""

    def tasks_arrived(self, batch: TaskBatch) -> None:
        """Leases."""

    def acknowledged(self, ack: ResultsAck) -> None:
        """Results that are safe."""

    def cancel_requested(self, cancel: Cancel) -> None:
        """Tasks to stop."""


class SessionRefused(FuncxError):
    """The service does not want this agent any more."""

    def __init__(self, code: str, message: str) -> None:
        self.refusal = code
        super().__init__(message)


class Uplink:
    """One agent's connection to its service. `register` is blocking and runs in a thread."""

    def __init__(
        self,
        context: zmq.Context[Any],
        keys: KeyPair,
        handler: Handler,
        *,
        epoch: int,
        register: Callable[[], EndpointRegistration],
        threshold: float,
    ) -> None:
        self._context = context
        self._keys = keys
        self._handler = handler
        self._epoch = epoch
        self._ask_service = register
        self._threshold = threshold
        self._patience = threshold
        self._channels: list[Dealer] = []
        self._session = 0
        self._last_heard = 0.0
        self._registered_at = 0.0
        self._over: asyncio.Future[None] | None = None
        self._again_scheduled = False
        self._given_back: list[GiveBack] = []  # since the last registration was made up, which does not know of them
        self._unheard = Unheard()
        self.is_open = False
        self.was_open = False
        self.malformed_messages = 0
        self.stale_batches = 0

    async def run(self) -> None:
        """Hold sessions until the service refuses the agent.

        Raises:
            SessionRefused: the agent must stop.
            ResourceLocked: the endpoint's owner locked it; the agent must stop.
            FuncxError: the first registration was refused; later ones are tried again for ever.
        """
        backoff = Backoff(FIRST_PAUSE, LONGEST_PAUSE)
        while True:
            try:
                registration = await asyncio.to_thread(self._ask_service)
            except FuncxError as error:
                is_final = isinstance(error, ResourceLocked)  # Its owner wants this agent to end.
                if is_final or not (self.was_open or isinstance(error, TryAgainLater)):
                    raise
                _log.warning("not registered: %s", error)
            else:
                await self._hold(registration)
                if self.was_open:
                    backoff.reset()
            await asyncio.sleep(backoff.next())

    async def _hold(self, registration: EndpointRegistration) -> None:
        self._over = asyncio.get_running_loop().create_future()
        self._connect(registration)
        try:
            self._register()
            await self._over
        finally:
            self._disconnect()

    def tick(self, now: float) -> None:
        """Time passed: a forwarder that is silent for too long is looked for anew."""
        if not self._channels:
            return
        if self.is_open and now - self._last_heard > self._patience:
            _log.warning("the forwarder has been silent for %.1f s", now - self._last_heard)
            self._end()
        elif not self.is_open and now - self._registered_at > min(ANSWER_WITHIN, self._threshold):
            _log.warning("the forwarder does not answer")
            self._end()

    def close(self, *, farewell: bool) -> None:
        """Leave; with `farewell` the forwarder is told."""
        if farewell and self.is_open:
            self._channels[2].send(encode(Goodbye(self._epoch)))
        self.is_open = False
        for channel in self._channels:
            channel.close(FAREWELL_MS if farewell else 0)
        self._channels = []

    # --- sending ---------------------------------------------------------------------------------------------------

    def send_results(self, record: bytes) -> None:
        """Send an encoded `Results`; without a session it is sent when one opens, from what is unacknowledged then."""
        if self.is_open:
            self._channels[1].send(record)

    def report(self, message: Events | Transitions | GiveBack) -> None:
        """Send on the results channel, if a session is open. What is given back or printed meanwhile is sent once it is."""
        encoded = encode(message)
        if isinstance(message, Events):
            self._unheard.add(encoded, asyncio.get_running_loop().time())
        if self.is_open:
            self._channels[1].send(encoded)
        elif isinstance(message, GiveBack):
            self._given_back.append(message)

    def heartbeat(self, status: Any) -> None:
        """Say that the endpoint is alive, and how it is."""
        if self.is_open:
            self._channels[2].send(encode(EndpointHeartbeat(self._epoch, status)))

    def environments(self, environments: list[Environment]) -> None:
        """Say what there is on the nodes, if anything is known of them."""
        if self.is_open and environments:
            self._channels[2].send(encode(Environments(self._epoch, environments)))

    def window(self, window: int) -> None:
        """Say how many leases are taken."""
        if self.is_open:
            self._channels[2].send(encode(Window(self._epoch, window)))

    # --- the session -----------------------------------------------------------------------------------------------

    def _connect(self, registration: EndpointRegistration) -> None:
        ports = (registration.tasks_port, registration.results_port, registration.commands_port)
        receivers = (self._receive_tasks, self._receive_results, self._receive_commands)
        self._channels = [
            Dealer(
                self._context,
                f"tcp://{registration.public_ip}:{port}",
                server_key=registration.forwarder_pubkey,
                keys=self._keys,
                on_messages=receiver,
                on_renewed=self._register_again,
            )
            for port, receiver in zip(ports, receivers, strict=True)
        ]

    def _disconnect(self) -> None:
        was_open, self.is_open = self.is_open, False
        for channel in self._channels:
            channel.close()
        self._channels = []
        if was_open:
            self._handler.session_closed()

    def _end(self) -> None:
        if self._over is not None and not self._over.done():
            self._over.set_result(None)

    def _register(self) -> None:
        self._registered_at = asyncio.get_running_loop().time()
        self._given_back.clear()
        self._channels[2].send(encode(self._handler.registration()))

    def _register_again(self) -> None:
        """The session is void, the connection is not. Several channels may say so at once."""
        if not self._channels or self._again_scheduled:
            return
        self._again_scheduled = True
        if self.is_open:
            self.is_open = False
            self._handler.session_closed()
        asyncio.get_running_loop().call_later(FIRST_PAUSE / 4, self._do_register_again)

    def _do_register_again(self) -> None:
        self._again_scheduled = False
        if self._channels:
            self._register()

    def _receive_tasks(self, bodies: list[bytes]) -> None:
        for body in bodies:
            batch = self._decode(tasks_from_forwarder, body)
            if batch is None:
                continue
            if not self.is_open or batch.session != self._session:
                self.stale_batches += 1  # Sent before we registered again; the service leases them anew.
                continue
            self._handler.tasks_arrived(batch)

    def _receive_results(self, bodies: list[bytes]) -> None:
        for body in bodies:
            ack = self._decode(results_from_forwarder, body)
            if ack is not None:
                self._handler.acknowledged(ack)

    def _receive_commands(self, bodies: list[bytes]) -> None:
        self._last_heard = asyncio.get_running_loop().time()
        if self.is_open:
            self._unheard.heard(self._last_heard)
        for body in bodies:
            match self._decode(commands_from_forwarder, body):
                case Registered() as registered if registered.epoch == self._epoch:
                    self._opened(registered)
                case Refused() as refused:
                    self._refused(refused)
                case Cancel() as cancel:
                    self._handler.cancel_requested(cancel)
                case Heartbeat() | Registered() | None:
                    pass

    def _opened(self, registered: Registered) -> None:
        self._session = registered.session
        # A forwarder that beats slowly is not silent.
        self._patience = max(self._threshold, SILENT_PERIODS * registered.heartbeat_period)
        self.is_open = self.was_open = True
        attach = encode(Attach(self._epoch, registered.session))
        self._channels[0].send(attach)
        self._channels[1].send(attach)
        # Kept until the next registration: this may be the answer to one before the last, whose session is void.
        for message in self._given_back:
            self._channels[1].send(encode(message))
        # Before results: nothing is heard of a task any more when it has ended.
        for printed in self._unheard.messages():
            self._channels[1].send(printed)
        self._handler.session_opened(registered)

    def _refused(self, refused: Refused) -> None:
        if refused.code == "register":
            self._register_again()
        elif self._over is not None and not self._over.done():
            self._over.set_exception(SessionRefused(refused.code, refused.message))

    def _decode(self, decoder: Decoder[Any], body: bytes) -> Any:
        try:
            return decoder.decode(body)
        except RemoteProtocolError as error:
            self.malformed_messages += 1
            _log.warning("from the forwarder: %s", error)
            return None
