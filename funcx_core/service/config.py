"""How a service is set up: what ``service.toml`` may say. `config_file` reads it."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Final

import msgspec

from funcx_core.errors import ConfigError
from funcx_core.protocol.client import Limits
from funcx_core.service.auth.config import AuthConfig
from funcx_core.transport.loopback import is_loopback

USUAL_PORT: Final = 5000
"""Where published clients look for a local service."""

MAX_HTTP_BODY: Final = 32 * 1024 * 1024
"""Bytes of one HTTP request; text forms are a third larger than the payloads in them."""

_ANY_ADDRESS: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104 - compared with, not listened on


class ListenConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Where HTTP is served, and to whom.

    Attributes:
        host: the address to listen on. Beyond this machine's loopback it needs a certificate, or `insecure`.
        port: of HTTP; 0 for any free one. Left out: the one used before, else 5000, else any free one.
        public_name: the name that clients reach this machine by, and that the certificate is for. Left out: `host`.
        allowed_hosts: further names that requests may call this service by (their Host and Origin headers).
        certificate: file with the certificate chain (PEM). With it the service speaks HTTPS and nothing else.
        key: file with the private key of `certificate` (PEM). Both are read again on SIGHUP.
        insecure: listen beyond the loopback without TLS: whoever is on that network can read every token.
    """

    host: str = "127.0.0.1"
    port: int | None = None
    public_name: str = ""
    allowed_hosts: frozenset[str] = frozenset()
    certificate: Path | None = None
    key: Path | None = None
    insecure: bool = False

    @property
    def scheme(self) -> str:
        """``https`` if there is a certificate."""
        return "http" if self.certificate is None else "https"

    @property
    def name(self) -> str:
        """What clients call this machine."""
        return self.public_name or (socket.getfqdn() if self.host in _ANY_ADDRESS else self.host)

    def check(self) -> None:
        """Refuse what cannot work or is not safe; see `ServiceConfig.check`."""
        if (self.certificate is None) != (self.key is None):
            raise ConfigError(
                "listen.certificate and listen.key are set together: the certificate and its private key."
            )
        if self.certificate is None and not self.insecure and not is_loopback(self.host):
            raise ConfigError(
                f"Refusing to listen on {self.host} without TLS: tokens would travel in the clear. Set listen.certificate and "
                "listen.key (--certificate, --key), or use --host 127.0.0.1 with an SSH tunnel or a TLS proxy on this "
                "machine. --insecure-listen does it all the same: then anybody on that network can read every token."
            )


class ForwarderSection(msgspec.Struct, frozen=True, kw_only=True):
    """The three channels that endpoints connect to. They are encrypted by themselves, so they need no TLS.

    Attributes:
        host: the address to listen on. Left out: that of HTTP.
        public_address: the address or name that endpoints are told to connect to. Left out: `host`.
        ports: of the channels for tasks, results and commands; each 0 for the one used before, else any free one.
        heartbeat_period: seconds between heartbeats of forwarder and endpoints.
        heartbeat_threshold: seconds of silence after which an endpoint is offline.
    """

    host: str = ""
    public_address: str = ""
    ports: tuple[int, int, int] = (0, 0, 0)
    heartbeat_period: float = 5.0
    heartbeat_threshold: float = 30.0

    def check(self) -> None:
        """Refuse what cannot work; see `ServiceConfig.check`."""
        if not 0 < self.heartbeat_period < self.heartbeat_threshold:
            raise ConfigError(
                f"The heartbeat threshold ({self.heartbeat_threshold:g} s) must be longer than the period "
                f"({self.heartbeat_period:g} s), and the period longer than 0."
            )


class RateConfig(msgspec.Struct, frozen=True, kw_only=True):
    """How fast requests may come. What is too fast is answered 429 with Retry-After, and tried again by clients of ours.

    Attributes:
        per_second: requests that one token may make in a second, in the long run; 0 for no limit.
        burst: requests that one token may make at once, after a pause.
        failures_per_minute: requests with a token that is not known, from one address; 0 for no limit.
    """

    per_second: float = 0.0
    burst: int = 100
    failures_per_minute: float = 60.0


class RetentionConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What is deleted, and when. Periods are in days; 0 keeps for ever. Code that no function has any more always goes.

    Attributes:
        results: tasks with their results and logs, counted from their end.
        tokens: tokens that expired or were revoked, counted from when they expired or, if they never do, were made.
        task_expiry: a task that waited so long without being given to an endpoint ends as expired.
        every: seconds between two rounds of housekeeping.
        batch: rows deleted by one transaction, so that nobody waits long for the database.
        backups: copies of the database that are kept, in the folder `backups` beside it; 0 for none.
        backup_every: days between two copies.
    """

    results: float = 14.0
    tokens: float = 30.0
    task_expiry: float = 14.0
    every: float = 300.0
    batch: int = 200
    backups: int = 3
    backup_every: float = 1.0


class LogConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The log: one JSON object a line, rotated.

    Attributes:
        file: where it is written. Left out: `service.log` in the data folder.
        debug: log more: also each HTTP request.
        slow_request: seconds after which an HTTP request is logged; those that fail on our side always are.
        rotate_at: bytes after which a new file begins.
        keep: older files that are kept.
    """

    file: Path | None = None
    debug: bool = False
    slow_request: float = 1.0
    rotate_at: int = 10 * 1024 * 1024
    keep: int = 3


class MetricsConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Numbers for Prometheus at ``/metrics``.

    Attributes:
        enabled: whether there are any.
        from_loopback: whether this machine may read them without a token; others need one with the scope `read`.
    """

    enabled: bool = True
    from_loopback: bool = True


class ServiceConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of one service process.

    Attributes:
        data_dir: where the database, the keys and the lock are kept.
        blob_store: where large values are kept: ``s3://bucket/prefix?endpoint_url=…``, ``file:///folder``, or empty for `data_dir`.
        listen: HTTP.
        forwarder: the channels of endpoints.
        limits: what clients may send. Sizes in bytes.
        rate: how fast.
        retention: what is deleted when, and copies of the database.
        logs: the log.
        metrics: numbers for Prometheus.
        auth: who may sign in, and how.
    """

    data_dir: Path
    blob_store: str = ""
    listen: ListenConfig = ListenConfig()
    forwarder: ForwarderSection = ForwarderSection()
    limits: Limits = Limits()
    rate: RateConfig = RateConfig()
    retention: RetentionConfig = RetentionConfig()
    logs: LogConfig = LogConfig()
    metrics: MetricsConfig = MetricsConfig()
    auth: AuthConfig = AuthConfig()

    def check(self) -> None:
        """Refuse what cannot work or is not safe.

        Raises:
            ConfigError: saying which setting, and what to set instead.
        """
        self.listen.check()
        self.forwarder.check()
        for port in (self.listen.port or 0, *self.forwarder.ports):
            if not 0 <= port < 1 << 16:
                raise ConfigError(f"{port} is not a port: give 0 (any free one) to 65535.")
        for name, section in _sections(self):
            for key in section.__struct_fields__:
                value = getattr(section, key)
                if isinstance(value, int | float) and not isinstance(value, bool) and value < 0:
                    raise ConfigError(f"{name}.{key} is {value:g}; it must be 0 or more.")
        if self.retention.batch < 1 or self.retention.every <= 0 or self.rate.burst < 1:
            raise ConfigError("retention.batch, retention.every and rate.burst must be more than 0.")
        self.auth.check()

    @property
    def known_hosts(self) -> frozenset[str]:
        """Names that a request may call this service by."""
        listen = self.listen
        return frozenset({"localhost", "127.0.0.1", "::1", listen.host, listen.name.lower()}) | listen.allowed_hosts

    @property
    def forwarder_host(self) -> str:
        """Where the channels of endpoints listen."""
        return self.forwarder.host or self.listen.host

    @property
    def forwarder_address(self) -> str:
        """Where endpoints are told to connect."""
        if self.forwarder.public_address:
            return self.forwarder.public_address
        host = self.forwarder_host
        return self.listen.name if host in _ANY_ADDRESS or host == self.listen.host else host


def _sections(config: ServiceConfig) -> list[tuple[str, msgspec.Struct]]:
    named = [(name, getattr(config, name)) for name in config.__struct_fields__]
    return [(name, value) for name, value in named if isinstance(value, msgspec.Struct)]
