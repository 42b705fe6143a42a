"""The channel on which managers reach the interchange, and the watch on those that run on this machine."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

import zmq

from funcx_core.errors import RemoteProtocolError
from funcx_core.ids import ManagerId
from funcx_core.protocol.codec import encode
from funcx_core.protocol.endpoint import Heartbeat
from funcx_core.protocol.manager import FromManager, ManagerRefused, ManagerRegister, ToManager, from_manager
from funcx_core.transport.zmq import KeyPair, Received, Router, Zap
from funcx_endpoint.ports import ANY, listen_in

_log = logging.getLogger(__name__)

_HEARTBEAT: Final = encode(Heartbeat())
_UNKNOWN: Final = encode(ManagerRefused("register", "This interchange does not know the manager; it must register."))


class Floor:
    """All managers of one agent. `ports` are those that it may listen on.

    `on_message` gets each message with the manager's id; `on_ended` the id of a local manager whose process is gone.
    """

    def __init__(
        self,
        context: zmq.Context[Any],
        host: str,
        *,
        ports: Iterable[int] = ANY,
        on_message: Callable[[ManagerId, FromManager], None],
        on_ended: Callable[[ManagerId], None],
    ) -> None:
        self._context = context
        self._host = host
        self._ports = ports
        self._on_message = on_message
        self._on_ended = on_ended
        self._managers: dict[bytes, ManagerId] = {}
        self._routes: dict[ManagerId, bytes] = {}
        self._watched: dict[ManagerId, int] = {}
        self.keys = KeyPair.generate()
        self.manager_keys = KeyPair.generate()
        self.malformed_messages = 0

    def open(self) -> None:
        """Bind the socket; only this agent's managers have a key that may connect.

        Raises:
            ConfigError: no port that it may have is free.
        """
        self._zap = Zap(self._context, self._authorize)
        self._router = listen_in(self._ports, "worker_ports or worker_port_range", self._listen)

    def _listen(self, port: int) -> Router:
        return Router(self._context, self._host, port, keys=self.keys, on_messages=self._receive)

    def close(self) -> None:
        """Close the socket."""
        for manager_id in list(self._watched):
            self._unwatch(manager_id)
        self._router.close()
        self._zap.close()

    @property
    def address(self) -> str:
        """Where managers connect to."""
        return f"tcp://{self._host}:{self._router.port}"

    def send(self, manager_id: ManagerId, message: ToManager) -> None:
        """Send to a manager; one that cannot be reached will be found silent."""
        route = self._routes.get(manager_id)
        if route is not None and not self._router.send(route, encode(message)):
            # What was lost is found out when it registers again, which the next thing that it says makes it do.
            self._managers.pop(route, None)
            _log.warning("manager %s cannot be reached", manager_id, extra={"manager_id": manager_id})

    def heartbeat(self) -> None:
        """Tell every manager that the interchange is alive."""
        for route in self._routes.values():
            self._router.send(route, _HEARTBEAT)

    def forget(self, manager_id: ManagerId) -> None:
        """The manager is gone and will be sent nothing more."""
        self._unwatch(manager_id)
        route = self._routes.pop(manager_id, None)
        if route is not None:
            self._managers.pop(route, None)

    async def _authorize(self, key: str) -> bool:
        return key == self.manager_keys.public

    def _receive(self, received: list[Received]) -> None:
        for one in received:
            try:
                message = from_manager.decode(one.body)
            except RemoteProtocolError as error:
                self.malformed_messages += 1
                _log.warning("from a manager: %s", error)
                continue
            manager_id = self._sender(one.route, message)
            if manager_id is None:
                self._router.send(one.route, _UNKNOWN)
            else:
                self._on_message(manager_id, message)

    def _sender(self, route: bytes, message: FromManager) -> ManagerId | None:
        if isinstance(message, ManagerRegister):
            old = self._routes.get(message.manager_id)
            if old is not None:
                self._managers.pop(old, None)
            self._routes[message.manager_id] = route
            self._managers[route] = message.manager_id
            self._watch(message)
        return self._managers.get(route)

    def _watch(self, message: ManagerRegister) -> None:
        """Notice the end of a manager on this machine at once: its process has a descriptor that becomes readable."""
        if message.manager_id in self._watched or not is_local_manager(message):
            return
        try:
            handle = os.pidfd_open(message.pid)
        except (ProcessLookupError, PermissionError):
            return
        self._watched[message.manager_id] = handle
        asyncio.get_running_loop().add_reader(handle, self._ended, message.manager_id)

    def _unwatch(self, manager_id: ManagerId) -> None:
        handle = self._watched.pop(manager_id, None)
        if handle is not None:
            asyncio.get_running_loop().remove_reader(handle)
            os.close(handle)

    def _ended(self, manager_id: ManagerId) -> None:
        self._unwatch(manager_id)
        # What it sent last may still wait in the socket.
        asyncio.get_running_loop().call_later(0.05, self._on_ended, manager_id)


def is_local_manager(message: ManagerRegister) -> bool:
    """Whether the manager's process is one of this machine (its host has our name, and its pid is a manager's)."""
    if message.hostname != socket.gethostname():
        return False
    try:
        return b"funcx_endpoint.manager" in Path(f"/proc/{message.pid}/cmdline").read_bytes()
    except OSError:
        return False
