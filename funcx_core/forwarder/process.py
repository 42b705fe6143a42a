"""The forwarder's shell: owns the sockets, performs the effects of `state` and feeds what follows back to it."""

from __future__ import annotations

from typing import Self

from funcx_core.forwarder.config import ForwarderConfig
from funcx_core.forwarder.counters import Counters
from funcx_core.forwarder.store import LeaseStore
from funcx_core.protocol.handoff import FromForwarder, ToForwarder
from funcx_core.queues.base import FuncxQueue
from funcx_core.transport.zmq import KeyPair


class Forwarder:
    """Holds endpoint sessions and leases tasks to them. Runs on the asyncio loop on which it is opened.

    >>> async with Forwarder(config, keys=keys, store=store, inbox=submitted, outbox=outcomes) as forwarder:
    ...     await forwarder.wait()

    `inbox` and `outbox` are connected by the caller, who also closes them, after the forwarder.
    """

    def __init__(
        self,
        config: ForwarderConfig,
        *,
        keys: KeyPair,
        store: LeaseStore,
        inbox: FuncxQueue[ToForwarder],
        outbox: FuncxQueue[FromForwarder],
    ) -> None:
        self._config = config
        self._keys = keys
        self._store = store
        self._inbox = inbox
        self._outbox = outbox
        self.counters = Counters()

    @property
    def public_key(self) -> str:
        """The CURVE key (Z85) that endpoints must know: ``forwarder_pubkey`` of their registration."""
        return self._keys.public

    @property
    def tasks_port(self) -> int:
        """Where the tasks channel listens, once open."""
        raise NotImplementedError

    @property
    def results_port(self) -> int:
        """Where the results channel listens, once open."""
        raise NotImplementedError

    @property
    def commands_port(self) -> int:
        """Where the commands channel listens, once open."""
        raise NotImplementedError

    async def open(self) -> None:
        """Listen on the three channels and start to read the inbox.

        Raises:
            ConfigError: a port is in use.
        """
        raise NotImplementedError

    async def wait(self) -> None:
        """Return when the forwarder was closed; raise what ended it otherwise. Whoever composes it must await this."""
        raise NotImplementedError

    async def close(self) -> None:
        """Stop: nothing more is read or sent. Endpoints keep their leases and register with the next forwarder."""
        raise NotImplementedError

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
