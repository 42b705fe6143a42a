"""The three sockets that endpoints connect to: who may, who said something, and whether it can be read."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final, Generic, TypeVar

import msgspec
import zmq

from funcx_core.errors import RemoteProtocolError
from funcx_core.forwarder.config import ForwarderConfig
from funcx_core.forwarder.counters import Counters
from funcx_core.ids import EndpointId
from funcx_core.protocol.codec import Decoder
from funcx_core.protocol.endpoint import (
    ToCommands,
    ToResults,
    ToTasks,
    commands_from_endpoint,
    results_from_endpoint,
    tasks_from_endpoint,
)
from funcx_core.transport.zmq import KeyPair, Received, Router, Zap

CLOSE_LINGER_MS: Final = 100

_log = logging.getLogger(__name__)
M = TypeVar("M")


class Heard(msgspec.Struct, Generic[M], frozen=True):
    """A message of an endpoint that proved its key."""

    endpoint_id: EndpointId
    sender: str
    route: bytes
    message: M


class Channels:
    """Three ROUTERs of one context, and the ZAP handler that lets only registered keys connect.

    An endpoint is known by the key of its connection, as ZAP attests it on every message, and by nothing else. What
    cannot be read is dropped and counted; the peer stays.

    Args:
        config: addresses.
        keys: the forwarder's key pair.
        counters: where dropped messages are counted.
        endpoint_of: asks the store whose key this is; called once per connection.
        on_tasks: gets what arrived together on the tasks channel.
        on_results: the same for the results channel.
        on_commands: the same for the commands channel.
    """

    def __init__(
        self,
        config: ForwarderConfig,
        *,
        keys: KeyPair,
        counters: Counters,
        endpoint_of: Callable[[str], Awaitable[EndpointId | None]],
        on_tasks: Callable[[list[Heard[ToTasks]]], None],
        on_results: Callable[[list[Heard[ToResults]]], None],
        on_commands: Callable[[list[Heard[ToCommands]]], None],
    ) -> None:
        self._config = config
        self._keys = keys
        self._counters = counters
        self._endpoint_of = endpoint_of
        self._on_tasks = on_tasks
        self._on_results = on_results
        self._on_commands = on_commands
        self._known: dict[str, EndpointId] = {}

    def open(self) -> None:
        """Listen.

        Raises:
            ConfigError: a port is in use or the address is not of this machine.
        """
        config = self._config
        self._context: zmq.Context[Any] = zmq.Context()
        self._zap = Zap(self._context, self.authorize)
        self._routers: list[Router] = []
        try:
            self.tasks = self._bind(config.tasks_port, tasks_from_endpoint, self._on_tasks)
            self.results = self._bind(config.results_port, results_from_endpoint, self._on_results)
            self.commands = self._bind(config.commands_port, commands_from_endpoint, self._on_commands)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Stop listening."""
        for router in self._routers:
            router.close(CLOSE_LINGER_MS)
        self._zap.close()
        self._context.term()

    async def authorize(self, key: str) -> bool:
        """Ask the store whose key this is; what it says holds for every later message of that key."""
        endpoint_id = await self._endpoint_of(key)
        if endpoint_id is None:
            self._known.pop(key, None)
            self._counters.foreign_messages += 1
            return False
        self._known[key] = endpoint_id
        return True

    def forget(self, endpoint_id: EndpointId) -> None:
        """Take nothing more from this endpoint until it connects anew, which the store must allow."""
        self._known = {key: known for key, known in self._known.items() if known != endpoint_id}

    def _bind(self, port: int, decoder: Decoder[M], deliver: Callable[[list[Heard[M]]], None]) -> Router:
        def on_messages(received: list[Received]) -> None:
            heard = [message for message in (self._read(one, decoder) for one in received) if message is not None]
            if heard:
                deliver(heard)

        router = Router(self._context, self._config.host, port, keys=self._keys, on_messages=on_messages)
        self._routers.append(router)
        return router

    def _read(self, received: Received, decoder: Decoder[M]) -> Heard[M] | None:
        endpoint_id = self._known.get(received.sender)
        if endpoint_id is None:
            self._counters.foreign_messages += 1
            return None
        try:
            message = decoder.decode(received.body)
        except RemoteProtocolError as error:
            self._counters.protocol_errors += 1
            _log.warning("Endpoint %s: %s", endpoint_id, error)
            return None
        return Heard(endpoint_id, received.sender, received.route, message)
