"""The embedded fabric's server: web service and forwarder in one process and on one loop, over one store."""

from __future__ import annotations

import asyncio
import getpass
import logging
import os
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final, Self, TypeVar

from funcx_core.errors import AuthRequired, ConfigError, TryAgainLater
from funcx_core.forwarder.config import ForwarderConfig
from funcx_core.forwarder.process import Forwarder
from funcx_core.home import private_dir
from funcx_core.ids import UserId, new_endpoint_id
from funcx_core.protocol.handoff import FromForwarder, ToForwarder
from funcx_core.queues.memory import MemoryQueue
from funcx_core.service.auth.composition import authenticator_of
from funcx_core.service.auth.local import SAVED_LABEL, LocalTokens
from funcx_core.service.backup import Backups
from funcx_core.service.checks import check_user_name
from funcx_core.service.config import USUAL_PORT, ServiceConfig
from funcx_core.service.files import Lock, Ports, ServiceFile, keep_token, known_token
from funcx_core.service.handoff import Handoff
from funcx_core.service.housekeeping import Housekeeping
from funcx_core.service.operations.endpoints import ForwarderAddress
from funcx_core.service.reloading import Reloaded, reloaded
from funcx_core.service.store import SqliteStore
from funcx_core.service.store.records import User
from funcx_core.service.web import WebService, listen
from funcx_core.transport.zmq import KeyPair

INBOX_LIMIT: Final = 1_000
OUTBOX_LIMIT: Final = 100_000
DAY: Final = 86_400.0
RENEW_SECONDS: Final = DAY / 2

Q = TypeVar("Q")

_log = logging.getLogger(__name__)


class Service:
    """Everything of the service in one process.

    >>> async with Service(config, home()) as service:
    ...     await service.wait()

    Args:
        config: its settings.
        home_dir: where ``service.json`` and ``credentials.json`` of the user are.
    """

    def __init__(self, config: ServiceConfig, home_dir: Path) -> None:
        self._config = config
        self._home = home_dir
        self._parts = AsyncExitStack()
        self._web: WebService | None = None
        self._forwarder: Forwarder | None = None
        self._housekeeping: Housekeeping | None = None

    @property
    def address(self) -> str:
        """What clients are configured with, once open."""
        if self._web is None:
            raise RuntimeError("The service is not open.")
        return self._web.address

    async def open(self) -> None:
        """Take the lock, open the store, listen, and then say where.

        Raises:
            ConfigError: something stands in the way; the text says what to do.
        """
        self._config.check()
        async with AsyncExitStack() as parts:
            await self._open(parts)
            self._parts = parts.pop_all()

    async def _open(self, parts: AsyncExitStack) -> None:
        data_dir = private_dir(self._config.data_dir)
        parts.enter_context(Lock(data_dir))
        store = await parts.enter_async_context(SqliteStore(data_dir))
        await store.all_offline()
        inbox = await _queue(parts, MemoryQueue[ToForwarder](INBOX_LIMIT))
        outbox = await _queue(parts, MemoryQueue[FromForwarder](OUTBOX_LIMIT))
        remembered = Ports.load(data_dir / "ports.json")
        keys = KeyPair.load_or_create(data_dir / "forwarder.key")
        self._forwarder = await self._open_forwarder(
            parts, store=store, keys=keys, inbox=inbox, outbox=outbox, remembered=remembered
        )
        listening = parts.enter_context(self._listen(remembered))
        tokens = LocalTokens(store)
        authenticator = authenticator_of(self._config.auth, tokens, store)
        parts.push_async_callback(authenticator.close)
        self._web = await parts.enter_async_context(
            WebService(
                self._config,
                store=store,
                authenticator=authenticator,
                group_sources=[authenticator],
                inbox=inbox,
                outbox=outbox,
                forwarder=self._forwarder_address,
                listening=listening,
                forwarder_counters=self._forwarder.counters,
            )
        )
        self._housekeeping = Housekeeping(
            self._config.retention,
            store=store,
            handoff=Handoff(inbox),
            backups=Backups(data_dir),
            others=[self._web.expire_large],
        )
        await parts.enter_async_context(_background(self._housekeeping.run()))
        self._ports(listening).save(data_dir / "ports.json")
        await parts.enter_async_context(self._kept_token(tokens, await local_user(store)))
        self._announce(parts)

    async def _open_forwarder(
        self,
        parts: AsyncExitStack,
        *,
        store: SqliteStore,
        keys: KeyPair,
        inbox: MemoryQueue[ToForwarder],
        outbox: MemoryQueue[FromForwarder],
        remembered: Ports,
    ) -> Forwarder:
        asked = self._config.forwarder.ports
        wished = [
            port or old
            for port, old in zip(asked, (remembered.tasks, remembered.results, remembered.commands), strict=True)
        ]
        for ports in (wished, asked):
            config = ForwarderConfig(
                host=self._config.forwarder_host,
                tasks_port=ports[0],
                results_port=ports[1],
                commands_port=ports[2],
                heartbeat_period=self._config.forwarder.heartbeat_period,
                heartbeat_threshold=self._config.forwarder.heartbeat_threshold,
            )
            try:
                return await parts.enter_async_context(
                    Forwarder(config, keys=keys, store=store, inbox=inbox, outbox=outbox)
                )
            except ConfigError:
                if tuple(wished) == asked or ports is asked:
                    raise
                _log.warning("a forwarder port used before is taken; choosing others")
        raise AssertionError("not reached")

    def _listen(self, remembered: Ports) -> socket.socket:
        host, port = self._config.listen.host, self._config.listen.port
        if port:
            return listen(host, port)
        for candidate in (remembered.http, USUAL_PORT if port is None else 0):
            if candidate:
                try:
                    return listen(host, candidate)
                except ConfigError:
                    _log.info("port %d is taken; trying another", candidate)
        return listen(host, 0)

    @property
    def _forwarder_address(self) -> ForwarderAddress:
        forwarder = self._forwarder
        if forwarder is None:
            raise RuntimeError("The forwarder is not open.")
        return ForwarderAddress(
            public_key=forwarder.public_key,
            public_ip=self._config.forwarder_address,
            tasks_port=forwarder.tasks_port,
            results_port=forwarder.results_port,
            commands_port=forwarder.commands_port,
        )

    def _ports(self, listening: socket.socket) -> Ports:
        forwarder = self._forwarder_address
        http = int(listening.getsockname()[1])
        return Ports(http, forwarder.tasks_port, forwarder.results_port, forwarder.commands_port)

    @asynccontextmanager
    async def _kept_token(self, tokens: LocalTokens, user: User) -> AsyncIterator[None]:
        """See to it that whoever started the service can use it without signing in, as long as it runs."""
        lifetime = self._config.auth.credentials_days * DAY
        path = self._home / "credentials.json"
        token = await usable_token(tokens, user, known_token(path, self.address), lifetime)
        keep_token(path, self.address, token)
        renewing = asyncio.get_running_loop().create_task(
            _renew(tokens, token, lambda: self._config.auth.credentials_days * DAY)
        )
        try:
            yield
        finally:
            renewing.cancel()
            await asyncio.gather(renewing, return_exceptions=True)

    def _announce(self, parts: AsyncExitStack) -> None:
        forwarder = self._forwarder_address
        found_at = {
            "public_ip": forwarder.public_ip,
            "tasks_port": forwarder.tasks_port,
            "results_port": forwarder.results_port,
            "commands_port": forwarder.commands_port,
        }
        announcement = ServiceFile(self.address, os.getpid(), found_at)
        announcement.save(self._home / "service.json")
        parts.callback(announcement.remove, self._home / "service.json")
        _log.info("serving at %s", self.address)

    def reload(self, config: ServiceConfig) -> Reloaded:
        """Take what can change while it runs; return what that is, and what waits for the next start.

        Raises:
            ConfigError: it cannot be used; nothing was changed.
        """
        if self._web is None:
            raise RuntimeError("The service is not open.")
        found = reloaded(self._config, config)
        self._web.reload(found.config)
        if self._housekeeping is not None:
            self._housekeeping.change(found.config.retention)
        self._config = found.config
        return found

    async def wait(self) -> None:
        """Return when closed; raise what ended a part of the service otherwise."""
        if self._forwarder is None or self._web is None:
            raise RuntimeError("The service is not open.")
        parts = [asyncio.ensure_future(self._forwarder.wait()), asyncio.ensure_future(self._web.wait())]
        try:
            done, _ = await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
            for part in done:
                part.result()
        finally:
            for part in parts:
                part.cancel()

    async def close(self) -> None:
        """Stop: finish what clients asked for, then close everything in the opposite order."""
        await self._parts.aclose()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


async def _queue(parts: AsyncExitStack, queue: MemoryQueue[Q]) -> MemoryQueue[Q]:
    await queue.connect()
    parts.push_async_callback(queue.close)
    return queue


@asynccontextmanager
async def _background(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Let `work` run beside until the end."""
    task = asyncio.get_running_loop().create_task(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def local_user(store: SqliteStore, name: str | None = None) -> User:
    """Return the user of this name, else of whoever runs this process; made if there is none."""
    return await store.ensure_user(User(UserId(str(new_endpoint_id())), name or getpass.getuser()))


async def usable_token(tokens: LocalTokens, user: User, token: str | None, lifetime: float) -> str:
    """Return `token`, renewed for `lifetime` seconds, or a new one if it is none of this user's that is good."""
    if token is not None:
        try:
            identity = await tokens.authenticate(token)
        except AuthRequired:
            pass
        else:
            if identity.user == user:
                await tokens.renew(token, lifetime)
                return token
    return await tokens.mint(user, label=SAVED_LABEL, lifetime=lifetime)


async def _renew(tokens: LocalTokens, token: str, lifetime: Callable[[], float]) -> None:
    while True:
        await asyncio.sleep(min(lifetime() / 2, RENEW_SECONDS))
        with suppress(TryAgainLater):  # The disk is full, or another process writes for long: the next time, then.
            await tokens.renew(token, lifetime())


async def renew_saved_token(config: ServiceConfig, credentials: Path, address: str) -> str:
    """See to it that the user has a good token for the service at `address`, whether it runs or not; return it.

    Raises:
        ConfigError: the service's data cannot be used.
    """
    lifetime = config.auth.credentials_days * DAY
    async with SqliteStore(config.data_dir, is_guest=True) as store:
        tokens = LocalTokens(store)
        token = await usable_token(tokens, await local_user(store), known_token(credentials, address), lifetime)
        await tokens.close()
    keep_token(credentials, address, token)
    return token


async def mint_token(data_dir: Path, *, label: str, lifetime: float | None = None, user_name: str | None = None) -> str:
    """Make a token for the local user, or for another one, who is made if need be; whether the service runs or not.

    Raises:
        ConfigError: the service's data cannot be used.
        InvalidRequest: nobody can be called so.
    """
    if user_name is not None:
        check_user_name(user_name)
    async with SqliteStore(data_dir, is_guest=True) as store:
        user = await local_user(store, user_name)
        return await LocalTokens(store).mint(user, label=label, lifetime=lifetime)
