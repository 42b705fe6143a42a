"""One connection of a stream, as far as it sends: requests of the ledger, in batches that form by themselves."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from funcx_core.protocol.client import FromClient
from funcx_core.protocol.codec import encode
from funcx_core.sdk.ledger import MOST_CALLS, Ledger
from funcx_core.sdk.routes import Request

if TYPE_CHECKING:
    from tornado.websocket import WebSocketClientConnection

_GATHER: Final = 0.0005
_SHORTEST_RETRY: Final = 0.05


class Wire:
    """Sends what the ledger has. With nothing under way it is sent at once, else gathered for a moment. Of the stream's thread."""

    def __init__(self, socket: WebSocketClientConnection, ledger: Ledger) -> None:
        from tornado.websocket import WebSocketClosedError  # noqa: PLC0415 - see connection.py

        self._closed_error = WebSocketClosedError
        self._socket = socket
        self._ledger = ledger
        self._loop = asyncio.get_running_loop()
        self._gathering: asyncio.TimerHandle | None = None

    def close(self) -> None:
        """Send nothing more."""
        if self._gathering is not None:
            self._gathering.cancel()

    def gather(self) -> None:
        """The queue is not empty any more."""
        if not self._ledger.unanswered or len(self._ledger.queue) >= MOST_CALLS:
            self.flush()
        elif self._gathering is None:
            self._gathering = self._loop.call_later(_GATHER, self.flush)

    def go_on(self) -> None:
        """A request was answered."""
        queue = self._ledger.queue
        if queue and (not self._ledger.unanswered or len(queue) >= MOST_CALLS):
            self.flush()

    def flush(self) -> None:
        """Send as much of the queue as may be under way."""
        if self._gathering is not None:
            self._gathering.cancel()
            self._gathering = None
        ledger = self._ledger
        ledger.is_watched = False  # before looking: what is appended from now on wakes this thread again
        while ledger.may_send and ledger.queue:
            request = ledger.next_request()
            if request is not None:
                self.send(request.message())
        if ledger.queue:
            ledger.is_watched = True  # The next answer goes on.

    def send(self, message: FromClient | None) -> None:
        """Send one message, if there is one."""
        if message is None:
            return
        try:
            written = self._socket.write_message(encode(message), binary=True)
        except self._closed_error:
            return  # The ledger has it; it is sent again on the next connection.
        written.add_done_callback(_look_at)

    def send_all(self, messages: Iterable[FromClient]) -> None:
        """Send messages one after the other."""
        for message in messages:
            self.send(message)

    def retry_later(self, request: Request | None, seconds: float | None) -> None:
        """The service wants this request again, after so many seconds."""
        if request is not None:
            self._loop.call_later(max(_SHORTEST_RETRY, seconds or 0.0), self._send_again, request.number)

    def _send_again(self, number: int) -> None:
        request = self._ledger.unanswered.get(number)
        if request is None:
            return
        message = request.message()
        if message is None:  # Everything in it was cancelled meanwhile.
            del self._ledger.unanswered[number]
        self.send(message)


def _look_at(written: asyncio.Future[None]) -> None:
    """Take note of a failed write, so that asyncio does not complain: the connection ends by itself."""
    if not written.cancelled():
        written.exception()
