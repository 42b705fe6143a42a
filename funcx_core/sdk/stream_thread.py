"""The thread of a stream: it connects, connects again, and hears what comes. Imported when a stream is opened: it needs asyncio."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec

from funcx_core.errors import (
    AuthRequired,
    FuncxError,
    RemoteProtocolError,
    ServiceUnavailable,
    StorageFull,
    TryAgainLater,
)
from funcx_core.ids import EndpointId
from funcx_core.protocol.client import (
    Accepted,
    FromClient,
    Limits,
    Poll,
    Refused,
    TaskEvents,
    TaskResults,
    TaskStates,
    ToClient,
    Welcome,
    to_client,
)
from funcx_core.sdk.conditions import Conditions
from funcx_core.sdk.ledger import Ledger
from funcx_core.sdk.settings import Settings
from funcx_core.sdk.stream_wire import Wire
from funcx_core.transport.loop import new_loop
from funcx_core.transport.retry import Backoff

if TYPE_CHECKING:
    from tornado.websocket import WebSocketClientConnection

_FIRST_LOOK: Final = 3.0
"""Seconds between two looks at what waits, at first; a task that is the oldest both times has waited for long."""
_LONGEST_LOOK: Final = 60.0
_OF_USE: Final = 1.0
"""Seconds that a connection lasts if it is worth to try the next one at once."""
_LOOK_FOR_SIGN_IN: Final = 1.0
"""Seconds between two looks at the file where somebody who signs in leaves a token."""
_SAME_SIGN_IN: Final = 30.0
"""Seconds between two tries with what the service has refused, and between two questions to whoever renews a login."""
logger = logging.getLogger("funcx")


class Hooks(msgspec.Struct, frozen=True):
    """Who is called: about connections, and (on a thread of its own) about endpoints where tasks wait, and about each of them once.

    `on_signed_out` returns what open futures end with when the service does not let the stream in any more.
    """

    on_connection: Callable[[bool], None] | None = None
    on_waiting: Callable[[set[EndpointId]], None] | None = None
    on_met: Callable[[set[EndpointId]], None] | None = None
    on_signed_out: Callable[[AuthRequired], FuncxError] | None = None


class StreamThread(threading.Thread):
    """Holds the connection of one stream. `post`, and what it is given, are all that other threads need.

    Attributes:
        limits: what the service accepts.
        error: why the stream has ended.
        closing: set when it shall end. Of this thread's loop.
    """

    def __init__(
        self, settings: Settings, ledger: Ledger, conditions: Conditions, hooks: Hooks, *, connect_timeout: float
    ) -> None:
        super().__init__(name="funcx-stream", daemon=True)
        self.limits = Limits()
        self.error: FuncxError | None = None
        self.closing = asyncio.Event()
        self._settings = settings
        self._ledger = ledger
        self._conditions = conditions
        self._hooks = hooks
        self._connect_timeout = connect_timeout
        self._loop = new_loop()
        self._said_full = False
        self._said_signed_out = False
        self._hung_up = asyncio.Event()
        self._wire: Wire | None = None

    # --- for any thread ----------------------------------------------------------------------------------------

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection now."""
        return self._wire is not None

    def post(self, action: Callable[[], Any]) -> None:
        """Let this thread do something."""
        try:
            self._loop.call_soon_threadsafe(action)
        except RuntimeError:  # The loop has ended, and with it everything that could be asked of it.
            logger.debug("The stream to %s has ended.", self._settings.service_address)

    # --- its life ----------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Be the thread."""
        loop = self._loop
        asyncio.set_event_loop(loop)
        loop.set_exception_handler(self._callback_raised)
        try:
            loop.run_until_complete(self._serve())
        except Exception:
            logger.exception("The stream to %s ended by a fault of its own.", self._settings.service_address)
            self._end(
                ServiceUnavailable("The stream ended by a fault of its own; its log names it. Make a new executor.")
            )
        finally:
            rest = asyncio.all_tasks(loop)
            for task in rest:
                task.cancel()
            loop.run_until_complete(asyncio.gather(*rest, return_exceptions=True))
            loop.run_until_complete(loop.shutdown_default_executor())
            asyncio.set_event_loop(None)
            loop.close()
            self._conditions.end()

    def _callback_raised(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """What a callback had still to do is done by nobody; a new connection begins with all that is open."""
        loop.default_exception_handler(context)
        if "handle" in context:
            self._hung_up.set()

    async def _serve(self) -> None:
        from funcx_core.sdk.connection import open_socket  # noqa: PLC0415 - see there

        backoff = Backoff(0.2, 5.0)
        give_up: float | None = time.monotonic() + self._connect_timeout
        while not self.closing.is_set():
            self._hung_up = asyncio.Event()
            try:
                socket = await open_socket(self._settings, self._receive)
            except AuthRequired as error:
                if give_up is not None or self._hooks.on_signed_out or not self._settings.follows_sign_ins:
                    self._end(self._explained(error, was_connected=give_up is None))
                    return
                await self._signed_in_again(error)
                continue
            except FuncxError as error:
                if not isinstance(error, TryAgainLater) or (give_up is not None and time.monotonic() > give_up):
                    self._end(error)
                    return
                if self._hooks.on_connection is None:  # Who listens tells it, where it does not disturb.
                    logger.warning("%s Trying again.", error)
                await self._pause(backoff.next())
                continue
            give_up = None
            self._said_signed_out = False
            if await self._session(socket):
                backoff.reset()
            elif not self.closing.is_set():
                await self._pause(backoff.next())
        self._end(
            ServiceUnavailable(
                "The stream was closed before the task ended. The task goes on; its result can be fetched by id."
            )
        )

    def _explained(self, error: AuthRequired, *, was_connected: bool) -> FuncxError:
        """Return why the stream ends. What was accepted goes on, whoever may hear of it."""
        if self._hooks.on_signed_out is not None:
            return self._hooks.on_signed_out(error)
        if not was_connected:
            return error
        told = AuthRequired(
            f"{error} What was submitted goes on: with another token, reload_tasks() of a FuncXExecutor with the same "
            "task_group_id, or get_result() of a FuncXClient, has the results."
        )
        told.expired_at = error.expired_at
        return told

    async def _signed_in_again(self, error: AuthRequired) -> None:
        """Return when another sign-in is there, or it is time to try the old one: it may have been made longer."""
        if not self._said_signed_out:
            self._said_signed_out = True
            logger.warning("%s Sign in again: `funcx login`. Until then nothing is heard of what was submitted.", error)
        pause = _LOOK_FOR_SIGN_IN if self._settings.authorizer is None else _SAME_SIGN_IN
        until = time.monotonic() + _SAME_SIGN_IN
        while time.monotonic() < until and not self.closing.is_set():
            await self._pause(pause)
            if await asyncio.to_thread(self._settings.renew):
                return

    async def _session(self, socket: WebSocketClientConnection) -> bool:
        """Work until the connection ends. Whether it was of use."""
        started = time.monotonic()
        self._wire = Wire(socket, self._ledger)
        looking = asyncio.ensure_future(self._look_at_waiting())
        self._wire.send_all(self._ledger.resume())
        self._notify_connection(connected=True)
        self._wire.flush()
        ends = [asyncio.ensure_future(event.wait()) for event in (self._hung_up, self.closing)]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        for end in (*ends, looking):
            end.cancel()
        self._wire.close()
        self._wire = None
        await self._hang_up(socket)
        self._notify_connection(connected=False)
        return time.monotonic() - started > _OF_USE

    async def _look_at_waiting(self) -> None:
        """Say now and then, less and less often, at which endpoints tasks wait."""
        pause, oldest = _FIRST_LOOK, None
        while self._hooks.on_waiting is not None:
            before = oldest
            await asyncio.sleep(pause)
            oldest = next(iter(self._ledger.open), None)
            if self._hooks.on_met is not None and (met := self._ledger.new_endpoints()):
                await self._loop.run_in_executor(None, self._hooks.on_met, met)
            if oldest is None or oldest != before:
                pause = _FIRST_LOOK
                continue
            if waiting := self._ledger.waiting_at():
                pause = min(2 * pause, _LONGEST_LOOK)
                await self._loop.run_in_executor(None, self._hooks.on_waiting, waiting)

    async def _hang_up(self, socket: WebSocketClientConnection) -> None:
        socket.close()
        try:
            await asyncio.wait_for(self._hung_up.wait(), 1.0)
        except TimeoutError:
            socket.on_connection_close()

    async def _pause(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self.closing.wait(), seconds)
        except TimeoutError:
            return

    def _end(self, error: FuncxError) -> None:
        self.error = error
        self._ledger.is_watched = False  # so that later submits hear of it
        self._ledger.fail_all(error)

    def _notify_connection(self, *, connected: bool) -> None:
        if self._hooks.on_connection is None:
            return
        try:
            self._hooks.on_connection(connected)
        except Exception:
            logger.exception("The callback for connections raised.")

    # --- what is asked of it -----------------------------------------------------------------------------------

    def gather(self) -> None:
        """The queue is not empty any more. Without a connection it is looked at when there is one."""
        if self._wire is not None:
            self._wire.gather()

    def send_all(self, messages: Sequence[FromClient]) -> None:
        """Send messages. Without a connection they are lost: the ledger says again what matters."""
        if self._wire is not None:
            self._wire.send_all(messages)

    # --- what comes --------------------------------------------------------------------------------------------

    def _receive(self, data: str | bytes | None) -> None:
        if data is None or isinstance(data, str):
            self._hung_up.set()
            return
        try:
            self._take_in(to_client.decode(data))
        except RemoteProtocolError as error:
            logger.warning("%s", error)
        if not self._conditions.is_empty:
            self._conditions.release()

    def _take_in(self, message: ToClient) -> None:
        match message:
            case TaskResults():
                self._ledger.results(message)
            case Accepted():
                self._said_full = False
                self.send_all(self._ledger.accepted(message))
                if self._wire is not None:
                    self._wire.go_on()
            case TaskEvents():
                self._guarded(self._ledger.events, message)
            case TaskStates():
                self._guarded(self._ledger.states, message)
            case Refused():
                self._refused(message)
            case Welcome():
                self.limits = message.limits
            case Poll():
                self.send_all(list(self._ledger.watches()))

    def _refused(self, message: Refused) -> None:
        if message.code == AuthRequired.code:
            self._hung_up.set()  # It stays unanswered: after another sign-in it is said again.
            return
        self._say_once(message)
        refused = self._ledger.refused(message)
        if self._wire is not None:
            self._wire.retry_later(refused, message.retry_after)

    def _say_once(self, message: Refused) -> None:
        """A full disk lasts until somebody does something about it; other reasons to wait pass by themselves."""
        if message.code == StorageFull.code and not self._said_full:
            self._said_full = True
            logger.warning("%s What was submitted is kept here and sent again.", message.message)

    def _guarded(self, handle: Callable[[Any], None], message: Any) -> None:
        try:
            handle(message)
        except Exception:
            logger.exception("A listener raised; what came with that message is lost to it.")
