"""The forwarder as a machine: sessions of endpoints, their liveness, and what is said in them.

Theory of operation. An endpoint is known by the CURVE key of its connections, which the shell has checked before it calls.
A session begins with `Register` and is settled against the store before it is answered: the forwarder then knows which
leases the endpoint holds, and takes back every other one that it remembers. Tasks flow once the tasks channel is attached.

A session ends when the agent registers again, when a newer agent registers, when its owner deletes or locks the endpoint,
when a route cannot be reached, or after `heartbeat_threshold` seconds of silence; only the owner and the silence make the
endpoint offline. A message that does not come from a route of the current session is dropped, and on the commands channel
answered with `Refused`, so that the agent registers again; nothing is decided from it. Leases outlive sessions and even
this process.

Each method takes one event and returns the effects to perform, in order. No sockets, clocks or files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from funcx_core.forwarder.config import ForwarderConfig
from funcx_core.forwarder.counters import Counters
from funcx_core.forwarder.effects import (
    BeginAttempts,
    Commit,
    Effect,
    ListOpen,
    LoadCancelled,
    LoadExpired,
    LoadOffers,
    MarkSeen,
    Publish,
    Restore,
    SaveEnvironments,
    SendCommand,
    SendTasks,
)
from funcx_core.forwarder.leases import EndpointLeases
from funcx_core.forwarder.records import Limits, Session
from funcx_core.ids import EndpointId, FunctionId, TaskId
from funcx_core.protocol.endpoint import (
    PROTOCOL_VERSION,
    Attach,
    EndpointHeartbeat,
    Environments,
    Events,
    GiveBack,
    Goodbye,
    Heartbeat,
    Refused,
    Register,
    Registered,
    Results,
    ToCommands,
    ToResults,
    ToTasks,
    Transitions,
    Window,
)
from funcx_core.protocol.environment import MOST_ENVIRONMENTS
from funcx_core.protocol.handoff import (
    CancelRequested,
    EndpointChanged,
    EndpointClosed,
    ExpireRequested,
    More,
    Offer,
    Submitted,
    ToForwarder,
)

DEFAULT_LIMITS: Final = Limits()
SILENT_PERIODS: Final = 3
"""An endpoint that announces a slow heartbeat is given at least so many of its own periods."""


@dataclass(slots=True)
class _Endpoint:
    leases: EndpointLeases
    epoch: int = 0
    settled_epoch: int = 0
    opening: int | None = None
    opening_route: bytes = b""
    opening_window: int = 0
    online: bool = False
    last_heard: float = 0.0
    threshold: float = 0.0


class ForwarderState:
    """Holds sessions and leases tasks in them. Pure: give it events and the time, perform its effects."""

    def __init__(self, config: ForwarderConfig, limits: Limits = DEFAULT_LIMITS) -> None:
        self.counters = Counters()
        self._config = config
        self._limits = limits
        self._endpoints: dict[EndpointId, _Endpoint] = {}
        self._sessions = 0
        self._last_tick: float | None = None
        self._last_heartbeat = 0.0
        self._last_sweep = 0.0

    def _endpoint(self, endpoint_id: EndpointId) -> _Endpoint:
        endpoint = self._endpoints.get(endpoint_id)
        if endpoint is None:
            leases = EndpointLeases(endpoint_id, self._limits, self.counters)
            endpoint = self._endpoints[endpoint_id] = _Endpoint(leases)
        return endpoint

    # --- from web services -----------------------------------------------------------------------------------------

    def handed_over(self, message: ToForwarder) -> list[Effect]:
        """A message of the forwarder's topic."""
        endpoint = self._endpoint(message.endpoint_id)
        leases = endpoint.leases
        match message:
            case Submitted():
                return leases.submitted(message.offers)
            case More():
                return leases.more()
            case CancelRequested():
                return leases.cancel(message.task_ids, force=message.force)
            case ExpireRequested():
                return leases.expire(message.task_ids)
            case EndpointClosed():
                return self._close(endpoint, message)

    def _close(self, endpoint: _Endpoint, message: EndpointClosed) -> list[Effect]:
        """Its owner deleted or locked the endpoint: its agent is sent home. A registration under way counts for nothing."""
        session = endpoint.leases.session
        route = endpoint.opening_route if session is None else session.commands_route
        if endpoint.opening is not None:
            endpoint.opening = None
            endpoint.leases.reading_ended()
        elif session is None:
            return []
        endpoint.leases.detach()
        refusal: list[Effect] = [SendCommand(route, Refused(message.code, message.text))]
        return [*refusal, *(self._offline(message.endpoint_id, endpoint) if endpoint.online else [])]

    # --- from endpoints, commands channel --------------------------------------------------------------------------

    def command(self, endpoint_id: EndpointId, route: bytes, message: ToCommands, *, now: float) -> list[Effect]:
        """A message of the commands channel."""
        endpoint = self._endpoint(endpoint_id)
        if isinstance(message, Register):
            return self._register(endpoint_id, endpoint, route, message, now)
        if message.epoch < endpoint.epoch:
            return [self._superseded(route)]
        session = endpoint.leases.session
        if session is None or session.commands_route != route:
            return self._stranger(endpoint, route, message)
        endpoint.last_heard = now
        return self._command_in_session(endpoint_id, endpoint, session, message)

    def _command_in_session(
        self,
        endpoint_id: EndpointId,
        endpoint: _Endpoint,
        session: Session,
        message: EndpointHeartbeat | Environments | Window | Goodbye,
    ) -> list[Effect]:
        match message:
            case EndpointHeartbeat():
                return [MarkSeen(endpoint_id, message.status, endpoint.online, endpoint.epoch)]
            case Environments():
                return [SaveEnvironments(endpoint_id, message.environments[:MOST_ENVIRONMENTS])]
            case Window():
                session.window = message.window
                return endpoint.leases.deal()
            case Goodbye():
                # Its last results may still be on their way on the other channel, so the session stays.
                session.window = 0
                session.leaving = True
                return self._offline(endpoint_id, endpoint) if endpoint.online else []

    def _stranger(self, endpoint: _Endpoint, route: bytes, message: ToCommands) -> list[Effect]:
        if endpoint.opening is not None and endpoint.opening_route == route:
            # Its registration is being settled.
            if isinstance(message, Window):
                endpoint.opening_window = message.window
            return []
        self.counters.foreign_messages += 1
        return [SendCommand(route, Refused("register", "This session is not known here: register again."))]

    @staticmethod
    def _superseded(route: bytes) -> Effect:
        text = "Another agent of this endpoint registered after this one and is in charge now."
        return SendCommand(route, Refused("superseded", text))

    def _register(
        self, endpoint_id: EndpointId, endpoint: _Endpoint, route: bytes, message: Register, now: float
    ) -> list[Effect]:
        if message.protocol_version != PROTOCOL_VERSION:
            text = f"The service speaks protocol {PROTOCOL_VERSION}, this endpoint {message.protocol_version}. Install the same version on both."
            return [SendCommand(route, Refused("version_mismatch", text))]
        if message.endpoint_id != endpoint_id:
            self.counters.foreign_messages += 1
            text = f"This key does not belong to endpoint {message.endpoint_id}."
            return [SendCommand(route, Refused("unknown_endpoint", text))]
        if message.epoch < endpoint.epoch:
            return [self._superseded(route)]
        effects = self._end_session(endpoint, superseded=message.epoch > endpoint.epoch)
        self._sessions += 1
        if endpoint.opening is None:
            endpoint.leases.reading_began()
        endpoint.opening = self._sessions
        endpoint.opening_route = route
        endpoint.opening_window = message.window
        endpoint.epoch = message.epoch
        endpoint.last_heard = now
        endpoint.threshold = max(self._config.heartbeat_threshold, SILENT_PERIODS * message.heartbeat_period)
        return [*effects, Restore(endpoint_id, route, self._sessions, message)]

    def _end_session(self, endpoint: _Endpoint, *, superseded: bool) -> list[Effect]:
        session = endpoint.leases.session
        endpoint.leases.detach()
        return [self._superseded(session.commands_route)] if session is not None and superseded else []

    def restored(self, restore: Restore, headers: Sequence[Offer], *, now: float) -> list[Effect]:
        """The store's answer to `Restore`: the session begins."""
        endpoint = self._endpoint(restore.endpoint_id)
        if endpoint.opening != restore.session:
            return []  # The agent, or another one, registered once more.
        register = restore.register
        endpoint.opening = None
        session = Session(restore.session, register.epoch, endpoint.opening_window, restore.route)
        is_another = register.epoch != endpoint.settled_epoch
        endpoint.settled_epoch = register.epoch
        release, effects = endpoint.leases.restore(
            session, register.held, register.lost, headers, is_another_agent=is_another
        )
        endpoint.leases.reading_ended()
        endpoint.last_heard = now
        self.counters.registrations += 1
        config = self._config
        answer = Registered(
            register.epoch, config.heartbeat_period, config.heartbeat_threshold, release, restore.session
        )
        online: list[Effect] = [] if endpoint.online else [Publish([EndpointChanged(restore.endpoint_id, online=True)])]
        endpoint.online = True
        return [
            SendCommand(restore.route, answer),
            MarkSeen(restore.endpoint_id, register.status, online=True, epoch=register.epoch),
            *online,
            *effects,
        ]

    # --- from endpoints, tasks and results channels ----------------------------------------------------------------

    def attach_tasks(self, endpoint_id: EndpointId, route: bytes, message: ToTasks, *, now: float) -> list[Effect]:
        """An `Attach` on the tasks channel."""
        session = self._attaching(endpoint_id, message, now)
        if session is None:
            return []
        if session.tasks_route not in (None, route):
            return self._register_again(endpoint_id)
        session.tasks_route = route
        return self._endpoints[endpoint_id].leases.deal()

    def result_message(self, endpoint_id: EndpointId, route: bytes, message: ToResults, *, now: float) -> list[Effect]:
        """A message of the results channel."""
        if isinstance(message, Attach):
            return self._attach_results(endpoint_id, route, message, now)
        endpoint = self._endpoint(endpoint_id)
        session = endpoint.leases.session
        if session is None or session.results_route != route:
            self.counters.foreign_messages += 1
            return []
        endpoint.last_heard = now
        match message:
            case Results():
                return endpoint.leases.results(message.results)
            case Events():
                return endpoint.leases.events(message.events)
            case Transitions():
                return endpoint.leases.transitions(message.transitions)
            case GiveBack():
                return endpoint.leases.given_back(message)

    def _attach_results(self, endpoint_id: EndpointId, route: bytes, message: Attach, now: float) -> list[Effect]:
        session = self._attaching(endpoint_id, message, now)
        if session is None:
            return []
        if session.results_route not in (None, route):
            return self._register_again(endpoint_id)
        return self._endpoints[endpoint_id].leases.attach_results(route)

    def _attaching(self, endpoint_id: EndpointId, message: Attach, now: float) -> Session | None:
        endpoint = self._endpoint(endpoint_id)
        session = endpoint.leases.session
        if session is None or message.epoch != session.epoch or message.session not in (0, session.number):
            self.counters.foreign_messages += 1
            return None
        endpoint.last_heard = now
        return session

    def _register_again(self, endpoint_id: EndpointId) -> list[Effect]:
        """A connection was renewed or lost: what was on its way must be settled."""
        leases = self._endpoint(endpoint_id).leases
        session = leases.session
        leases.detach()
        if session is None:
            return []
        text = "A connection of this session was renewed: register again."
        return [SendCommand(session.commands_route, Refused("register", text))]

    def undeliverable(self, send: SendTasks) -> list[Effect]:
        """The tasks channel of that session cannot be reached."""
        session = self._endpoint(send.endpoint_id).leases.session
        if session is None or session.number != send.session:
            return []
        return self._register_again(send.endpoint_id)

    def unloadable(self, send: SendTasks, function_ids: Sequence[FunctionId]) -> list[Effect]:
        """These functions have no body anywhere; the tasks of that effect that use them were not sent."""
        gone = set(function_ids)
        leases = [task.lease for task in send.tasks if task.function_id in gone]
        return self._endpoint(send.endpoint_id).leases.unloadable(send.session, leases, function_ids)

    # --- from the store --------------------------------------------------------------------------------------------

    def listed(self, effect: ListOpen, task_ids: Sequence[TaskId]) -> list[Effect]:
        """The store's answer to `ListOpen`."""
        return self._endpoint(effect.endpoint_id).leases.listed(task_ids)

    def loaded(self, effect: LoadOffers, offers: Sequence[Offer]) -> list[Effect]:
        """The store's answer to `LoadOffers`."""
        return self._endpoint(effect.endpoint_id).leases.loaded(effect.task_ids, offers)

    def cancelled_loaded(self, effect: LoadCancelled, offers: Sequence[Offer]) -> list[Effect]:
        """The store's answer to `LoadCancelled`."""
        return self._endpoint(effect.endpoint_id).leases.cancelled_loaded(offers, force=effect.force)

    def expired_loaded(self, effect: LoadExpired, offers: Sequence[Offer]) -> list[Effect]:
        """The store's answer to `LoadExpired`."""
        return self._endpoint(effect.endpoint_id).leases.expired_loaded(offers)

    def attempts_begun(self, effect: BeginAttempts) -> list[Effect]:
        """The store committed `BeginAttempts`."""
        return self._endpoint(effect.endpoint_id).leases.attempts_begun(effect)

    def committed(self, effect: Commit) -> list[Effect]:
        """The store committed `Commit`."""
        return self._endpoint(effect.endpoint_id).leases.committed(effect)

    def check(self) -> None:
        """Raise AssertionError if the books do not balance. For tests and simulations."""
        for endpoint in self._endpoints.values():
            endpoint.leases.check()

    # --- time ------------------------------------------------------------------------------------------------------

    def tick(self, *, now: float) -> list[Effect]:
        """Time passed. Call it several times in each heartbeat period."""
        self._forgive_own_sleep(now)
        effects = self._expire(now)
        if now - self._last_heartbeat >= self._config.heartbeat_period:
            self._last_heartbeat = now
            effects += self._heartbeats()
        if now - self._last_sweep >= self._config.sweep_period:
            self._last_sweep = now
            for endpoint in self._endpoints.values():
                if endpoint.leases.session is not None and endpoint.online:
                    effects += endpoint.leases.sweep()
        return effects

    def _forgive_own_sleep(self, now: float) -> None:
        """If this process was stopped or starved, the endpoints' heartbeats wait unread: they were not silent."""
        if self._last_tick is not None and now - self._last_tick > self._config.heartbeat_period:
            slept = now - self._last_tick
            for endpoint in self._endpoints.values():
                endpoint.last_heard += slept
        self._last_tick = now

    def _expire(self, now: float) -> list[Effect]:
        effects: list[Effect] = []
        for endpoint_id, endpoint in self._endpoints.items():
            if now - endpoint.last_heard <= endpoint.threshold:
                continue
            endpoint.leases.detach()
            if endpoint.online:
                effects += self._offline(endpoint_id, endpoint)
        return effects

    def _offline(self, endpoint_id: EndpointId, endpoint: _Endpoint) -> list[Effect]:
        endpoint.online = False
        return [
            MarkSeen(endpoint_id, None, online=False, epoch=endpoint.epoch),
            Publish([EndpointChanged(endpoint_id, online=False)]),
            *endpoint.leases.gone_offline(),
        ]

    def _heartbeats(self) -> list[Effect]:
        sessions = [endpoint.leases.session for endpoint in self._endpoints.values()]
        return [SendCommand(session.commands_route, Heartbeat()) for session in sessions if session is not None]
