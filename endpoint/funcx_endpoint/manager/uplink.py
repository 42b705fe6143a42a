"""The manager's connection with its interchange. What all workers bring in one turn of the loop goes up as one message."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Final

import msgspec
import zmq

from funcx_core.ids import ManagerId
from funcx_core.protocol.codec import encode
from funcx_core.protocol.endpoint import Events, Results
from funcx_core.protocol.manager import FromManager, ManagerRegister
from funcx_core.protocol.task import TaskEvent, TaskResult
from funcx_core.transport.zmq import Dealer
from funcx_endpoint.manager.settings import ManagerSettings

RESULT_BYTES: Final = 1024 * 1024
"""Results that are worth more than this do not wait for others to be sent with them."""
EVENTS_KEPT: Final = 10_000
"""Events that wait for the interchange to be there again; a task's last ones are cut then."""
LINGER_MS: Final = 2000
"""Time for the last messages to reach the interchange at the end."""
_log = logging.getLogger(__name__)


class Callbacks(msgspec.Struct, frozen=True):
    """What the connection asks of its manager.

    Attributes:
        on_messages: takes what came from the interchange.
        on_renewed: the connection is another one.
        on_flushed: everything is sent; the clock may have to be set anew.
        may_send_events: whether somebody listens to events.
    """

    on_messages: Callable[[list[bytes]], None]
    on_renewed: Callable[[], None]
    on_flushed: Callable[[], None]
    may_send_events: Callable[[], bool]


class Uplink:
    """One manager's connection. Nothing is sent before `connect`."""

    def __init__(self, settings: ManagerSettings, manager_id: ManagerId, callbacks: Callbacks) -> None:
        self._settings = settings
        self._manager_id = manager_id
        self._callbacks = callbacks
        self._dealer: Dealer | None = None
        self._context: zmq.Context[Any] | None = None
        self._address = ""
        self._events: list[TaskEvent] = []
        self._results: list[TaskResult] = []
        self._result_bytes = 0
        self._flushes_soon = False

    @property
    def is_connected(self) -> bool:
        """Whether messages have a way."""
        return self._dealer is not None

    async def choose_address(self) -> None:
        """See at which address the interchange answers; the last one if none does."""
        for address in self._settings.addresses:
            self._address = address
            if len(self._settings.addresses) == 1 or await _answers(address):
                break

    def connect(self) -> None:
        """Open the connection; enrol next."""
        self._context = zmq.Context()
        self._dealer = Dealer(
            self._context,
            self._address,
            server_key=self._settings.server_key,
            keys=self._settings.keys,
            on_messages=self._callbacks.on_messages,
            on_renewed=self._callbacks.on_renewed,
        )

    def enrol(self, registration: ManagerRegister) -> None:
        """Register, after all that was said before."""
        _log.info("enrolling", extra={"manager_id": self._manager_id, "address": self._address})
        self.flush()
        self._put(registration)

    def send(self, message: FromManager) -> None:
        """Send a message, after what has gathered."""
        self.flush()
        self._put(message)

    def send_results(self, results: list[TaskResult]) -> None:
        """Send results, together with others that come in this turn."""
        self._results += results
        self._result_bytes += sum([len(result.value) for result in results])
        if self._result_bytes > RESULT_BYTES:
            self.flush()
        else:
            self.flush_soon()

    def send_event(self, event: TaskEvent) -> None:
        """Send an event, together with others that come in this turn."""
        if len(self._events) < EVENTS_KEPT:
            self._events.append(event)
        self.flush_soon()

    def flush_soon(self) -> None:
        """Call `flush` at the end of this turn."""
        if not self._flushes_soon:
            self._flushes_soon = True
            asyncio.get_running_loop().call_soon(self.flush)

    def flush(self) -> None:
        """Send up what has gathered, a task's events before its result."""
        self._flushes_soon = False
        if self._events and self._callbacks.may_send_events():
            self._put(Events(self._events))
            self._events = []
        if self._results:
            self._put(Results(self._results))
            self._results = []
            self._result_bytes = 0
        self._callbacks.on_flushed()

    def _put(self, message: FromManager) -> None:
        if self._dealer is not None:
            self._dealer.send(encode(message))

    def close(self, *, linger: bool) -> None:
        """Close the connection; `linger`: give the last messages time to go."""
        if self._dealer is not None:
            self.flush()
            self._dealer.close(LINGER_MS if linger else 0)
        if self._context is not None:
            self._context.term()


async def _answers(address: str) -> bool:
    host, _, port = address.removeprefix("tcp://").rpartition(":")
    try:
        async with asyncio.timeout(2):
            _, writer = await asyncio.open_connection(host, int(port))
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True
