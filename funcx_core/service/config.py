"""How a service is set up."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Final

import msgspec

from funcx_core.errors import ConfigError
from funcx_core.protocol.client import Limits

USUAL_PORT: Final = 5000
"""Where published clients look for a local service."""

MAX_HTTP_BODY: Final = 32 * 1024 * 1024
"""Bytes of one HTTP request; text forms are a third larger than the payloads in them."""


class ServiceConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of one service process.

    Attributes:
        data_dir: where the database, the keys and the lock are kept.
        host: the address that HTTP and the forwarder's channels listen on; only loopback for now.
        port: of HTTP; 0 for any free one, None for the one used before, else 5000, else any free one.
        forwarder_ports: tasks, results, commands; each 0 for the one used before, else any free one.
        allowed_hosts: further names that requests may call this service by (``Host`` and ``Origin`` headers).
        heartbeat_period: seconds between heartbeats of forwarder and endpoints.
        heartbeat_threshold: seconds of silence after which an endpoint is offline.
        limits: what clients may send.
    """

    data_dir: Path
    host: str = "127.0.0.1"
    port: int | None = None
    forwarder_ports: tuple[int, int, int] = (0, 0, 0)
    allowed_hosts: frozenset[str] = frozenset()
    heartbeat_period: float = 5.0
    heartbeat_threshold: float = 30.0
    limits: Limits = Limits()

    def check(self) -> None:
        """Refuse what cannot work or is not safe.

        Raises:
            ConfigError: saying which setting, and what to set instead.
        """
        if not is_loopback(self.host):
            raise ConfigError(
                f"Refusing to listen on {self.host} without TLS: tokens would travel in the clear. Use --host 127.0.0.1, "
                "and an SSH tunnel or a TLS proxy on this machine for clients elsewhere."
            )
        if not 0 < self.heartbeat_period < self.heartbeat_threshold:
            raise ConfigError(
                f"The heartbeat threshold ({self.heartbeat_threshold:g} s) must be longer than the period "
                f"({self.heartbeat_period:g} s), and the period longer than 0."
            )
        for port in (self.port or 0, *self.forwarder_ports):
            if not 0 <= port < 1 << 16:
                raise ConfigError(f"{port} is not a port: give 0 (any free one) to 65535.")

    @property
    def known_hosts(self) -> frozenset[str]:
        """Names that a request may call this service by."""
        return frozenset({"localhost", "127.0.0.1", "::1", self.host}) | self.allowed_hosts


def is_loopback(host: str) -> bool:
    """Whether only processes of this machine can reach `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
