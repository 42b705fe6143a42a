"""The web service proper: an HTTP server over a store and two queues. Who composes it opens and closes those."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Sequence
from contextlib import suppress
from typing import Final, Self

from tornado import httpserver, netutil

from funcx_core.errors import ConfigError
from funcx_core.forwarder.counters import Counters
from funcx_core.protocol.client import Limits
from funcx_core.protocol.handoff import FromForwarder, ToForwarder
from funcx_core.queues.base import FuncxQueue
from funcx_core.service.auth.base import Provider
from funcx_core.service.auth.chain import Chain
from funcx_core.service.auth.composition import providers_of
from funcx_core.service.auth.groups import GroupSource, LocalGroups, Memberships
from funcx_core.service.auth.local import LocalTokens
from funcx_core.service.blobs.choice import backend_of
from funcx_core.service.blobs.uploads import Blobs
from funcx_core.service.config import ServiceConfig
from funcx_core.service.context import Context
from funcx_core.service.dependents import Dependents
from funcx_core.service.device_codes import DeviceCodes
from funcx_core.service.door import Door
from funcx_core.service.handlers.results_socket import ResultsSocket
from funcx_core.service.handlers.stream import Stream
from funcx_core.service.handoff import Handoff
from funcx_core.service.http_log import HttpLog
from funcx_core.service.known_answers import KnownAnswers
from funcx_core.service.login_codes import LoginCodes
from funcx_core.service.metrics import Counted, Metrics
from funcx_core.service.operations import Operations
from funcx_core.service.operations.endpoints import ForwarderAddress
from funcx_core.service.operations.tokens import Tokens
from funcx_core.service.outcomes import Outcomes
from funcx_core.service.overviews import Overviews
from funcx_core.service.rates import Rates
from funcx_core.service.routes import application
from funcx_core.service.store.base import Store
from funcx_core.service.tls import load_certificate, tls_context

"""Seconds between two looks for large values that nobody needs."""
NO_LIMIT = 1 << 40
"""Handlers bound bodies themselves, so that too large a one gets an answer."""

DRAIN_SECONDS: Final = 3.0

_log = logging.getLogger(__name__)


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens; `port` 0 for any free one.

    Raises:
        ConfigError: if another process has the port.
    """
    try:
        (listening,) = netutil.bind_sockets(port, host, family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise ConfigError(
            f"Cannot listen on {host}:{port}: {error.strerror}. Stop what uses the port, or choose another by --port."
        ) from None
    return Door(listening)


class WebService:
    """Serves `listening` until closed. Runs on the asyncio loop on which it is opened."""

    def __init__(
        self,
        config: ServiceConfig,
        *,
        store: Store,
        authenticator: Chain,
        inbox: FuncxQueue[ToForwarder],
        outbox: FuncxQueue[FromForwarder],
        forwarder: ForwarderAddress,
        listening: socket.socket,
        group_sources: Sequence[GroupSource] = (),
        forwarder_counters: Counters | None = None,
    ) -> None:
        self._handoff = Handoff(inbox)
        self._outcomes = Outcomes(outbox)
        self._streams: set[object] = set()
        memberships = Memberships([LocalGroups(store.groups), *group_sources])
        self._rates = Rates(config.rate)
        self._http = HttpLog(config.logs.slow_request)
        counted = Counted(
            http=self._http,
            rates=self._rates,
            outcomes=self._outcomes,
            streams=lambda: len(self._streams),
            forwarder=forwarder_counters,
        )
        self._dependents = Dependents(store, self._handoff, self._outcomes)
        self._blobs = Blobs(store.blobs, backend_of(config.blob_store, config.data_dir), config.limits)
        self._context = Context(
            operations=Operations(
                store,
                self._handoff,
                forwarder,
                config.limits,
                blobs=self._blobs,
                memberships=memberships,
                dependents=self._dependents,
            ),
            authenticator=authenticator,
            token_operations=Tokens(store, authenticator, config.auth),
            auth=config.auth,
            outcomes=self._outcomes,
            answers=KnownAnswers(store.has_changed),
            hosts=config.known_hosts,
            streams=self._streams,
            rates=self._rates,
            http=self._http,
            overviews=Overviews(store, self._outcomes),
            codes=LoginCodes(),
            device_codes=DeviceCodes(),
            tokens=LocalTokens(store),
            metrics=Metrics(store, counted) if config.metrics.enabled else None,
            metrics_from_loopback=config.metrics.from_loopback,
        )
        self._context.operations.result_days = config.retention.results
        self._config = config
        self._authenticator = authenticator
        self._store = store
        self._closing: set[asyncio.Task[None]] = set()
        self._listening = listening
        self._tls = tls_context(config.listen)
        self._server: httpserver.HTTPServer | None = None
        self._routing: asyncio.Task[None] | None = None
        self._settling: asyncio.Task[None] | None = None

    @property
    def address(self) -> str:
        """What clients are configured with."""
        port = self._listening.getsockname()[1]
        name = self._config.listen.name
        host = f"[{name}]" if ":" in name else name
        return f"{self._config.listen.scheme}://{host}:{port}/v2"

    def reload(self, config: ServiceConfig) -> None:
        """Take what can change while the service runs, see `reloading`; the files of the certificate are read in any case.

        Raises:
            ConfigError: certificate, key or a secret cannot be used; nothing was changed.
        """
        providers = providers_of(config.auth, self._store) if config.auth != self._config.auth else None
        tls_context(config.listen)  # Tried on a new context first: half a change would refuse every connection.
        if self._tls is not None:
            load_certificate(self._tls, config.listen)
        if config.rate != self._config.rate:
            self._rates.change(config.rate)
        if providers is not None:
            self._change_providers(config, providers)
        if config.limits != self._config.limits:
            self._change_limits(config.limits)
        self._context.hosts = config.known_hosts
        self._context.metrics_from_loopback = config.metrics.from_loopback
        self._context.operations.result_days = config.retention.results
        self._http.slow = config.logs.slow_request
        self._config = config

    def _change_providers(self, config: ServiceConfig, providers: list[Provider]) -> None:
        self._context.auth = config.auth
        self._context.token_operations.change(config.auth)
        for gone in self._authenticator.change(providers, remember_seconds=config.auth.remember_seconds):
            closing = asyncio.get_running_loop().create_task(gone.close())
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)

    def _change_limits(self, limits: Limits) -> None:
        self._context.operations.change(limits)
        for stream in self._streams:
            if isinstance(stream, Stream):
                stream.greet()

    @property
    def blobs(self) -> Blobs:
        """Large values, for who keeps house."""
        return self._blobs

    async def open(self) -> None:
        """Start to serve.

        Raises:
            ConfigError: the store for large values cannot be used.
        """
        await self._blobs.open()
        self._routing = asyncio.get_running_loop().create_task(self._outcomes.run())
        self._settling = asyncio.get_running_loop().create_task(self._dependents.run())
        self._server = httpserver.HTTPServer(
            application(self._context), max_body_size=NO_LIMIT, idle_connection_timeout=300, ssl_options=self._tls
        )
        self._server.add_socket(self._listening)
        await self._context.operations.endpoints.finish_deletions()

    async def close(self) -> None:
        """Take nothing new, finish what was asked for, end the streams."""
        if self._server is not None:
            self._server.stop()
            self._http.stopping = True
            self._outcomes.stop_waiting()
            streams = [stream for stream in self._streams if isinstance(stream, Stream | ResultsSocket)]
            await asyncio.gather(*(stream.finish_requests() for stream in streams))
            if not await self._http.drained(DRAIN_SECONDS):
                _log.warning("some HTTP requests were not answered before the stop; their callers try again")
            for stream in streams:
                stream.end_for_restart()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._server.close_all_connections(), 1)
            self._server = None
        await self._blobs.close()
        for work in (self._settling, self._routing):
            if work is not None:
                work.cancel()
                await asyncio.gather(work, return_exceptions=True)
        await self._handoff.close()

    async def wait(self) -> None:
        """Return when closed; raise what ended the routing of results otherwise."""
        if self._routing is not None:
            with suppress(asyncio.CancelledError):
                await asyncio.shield(self._routing)

    async def expire_large(self, now: float) -> None:
        """Remove large values that nobody needs; `now` is in Unix seconds. Housekeeping calls this."""
        await self._blobs.expire(now)

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
