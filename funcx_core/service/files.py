"""The files by which a service is found and by which it finds itself again."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Any, Self

import msgspec

from funcx_core.errors import ConfigError
from funcx_core.home import private_dir, read_private, write_private


class Lock:
    """Holds ``service.lock`` of a data folder for as long as it is open: one service per folder.

    >>> with Lock(data_dir):
    ...     serve()
    """

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / "service.lock"
        self._handle: int | None = None

    def __enter__(self) -> Self:
        private_dir(self._path.parent)
        handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.read(handle, 32).decode(errors="replace").strip()
            os.close(handle)
            raise ConfigError(
                f"A funcX service runs already with {self._path.parent} (process {holder or 'unknown'}). "
                "Use that one (`funcx status`), or stop it first (`funcx down`)."
            ) from None
        os.ftruncate(handle, 0)
        os.write(handle, f"{os.getpid()}\n".encode())
        self._handle = handle
        return self

    def __exit__(self, *_: object) -> None:
        if self._handle is not None:
            os.ftruncate(self._handle, 0)
            os.close(self._handle)
            self._handle = None


class Ports(msgspec.Struct, frozen=True):
    """The ports of a service, kept so that a restart is found by clients and endpoints that know the old ones."""

    http: int = 0
    tasks: int = 0
    results: int = 0
    commands: int = 0

    @classmethod
    def load(cls, path: Path) -> Ports:
        """Return what was saved, zeros if nothing readable was."""
        try:
            return msgspec.json.decode(path.read_bytes(), type=cls)
        except (OSError, msgspec.MsgspecError):
            return cls()

    def save(self, path: Path) -> None:
        """Keep for the next start."""
        write_private(path, msgspec.json.encode(self))


class ServiceFile(msgspec.Struct, frozen=True):
    """``service.json``: where a running service is. Written once it listens, removed when it stops."""

    service_address: str
    pid: int
    forwarder: dict[str, Any]

    def save(self, path: Path) -> None:
        """Replace the file in one step."""
        write_private(path, msgspec.json.format(msgspec.json.encode(self)))

    def remove(self, path: Path) -> None:
        """Remove the file, unless another service has written its own."""
        try:
            found = msgspec.json.decode(path.read_bytes(), type=ServiceFile)
        except (OSError, msgspec.MsgspecError):
            return
        if found.pid == self.pid:
            path.unlink(missing_ok=True)


def known_token(path: Path, address: str) -> str | None:
    """Return the token for `address` that the user's ``credentials.json`` has."""
    entry = _credentials(path).get(address)
    token = entry.get("token") if isinstance(entry, dict) else None
    return token if isinstance(token, str) else None


def keep_token(path: Path, address: str, token: str) -> None:
    """Put a token into the user's ``credentials.json``, beside those for other services."""
    credentials = {**_credentials(path), address: {"token": token}}
    write_private(path, msgspec.json.format(msgspec.json.encode(credentials)))


def _credentials(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        return msgspec.json.decode(read_private(path), type=dict[str, Any])
    except msgspec.MsgspecError:
        raise ConfigError(f"{path} cannot be read as JSON. Repair it, or move it away; it is made anew.") from None
