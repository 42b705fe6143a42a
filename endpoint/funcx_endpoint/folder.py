"""The folder of an endpoint: what is in it and who is in charge of it."""

from __future__ import annotations

import fcntl
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from funcx_core.errors import ConfigError, Conflict
from funcx_core.home import home, private_dir, write_private
from funcx_core.ids import EndpointId, new_endpoint_id, parse_id
from funcx_endpoint.processes import Identity, identity

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
UNACKED_RESULTS: Final = "unacked_results"
_EARLIER_RESULTS: Final = "results"
"""What that folder was called at first."""
LARGE: Final = "large"
"""Name of the folder for large values in an endpoint's, see `funcx_endpoint.large`."""
RESERVED: Final = frozenset({"service", "config.py"})


class EndpointFile(msgspec.Struct, frozen=True):
    """``endpoint.json``: who the endpoint is, over all its starts."""

    endpoint_id: EndpointId
    registered_at: str = ""


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """``status.json``: the agent's latest word about itself, for people on this machine.

    `containers` says how many workers run in which, by location, empty for none.
    """

    state: str
    detail: str = ""
    connected: bool = False
    managers: int = 0
    workers: int = 0
    containers: dict[str, int] = {}
    blocks: int = 0
    waiting_tasks: int = 0
    running_tasks: int = 0
    unacknowledged_results: int = 0
    grace: float = 30.0
    updated_at: float = 0.0


class LastError(msgspec.Struct, frozen=True):
    """``last-error.json``: why the agent ended or did not start; `at` in Unix seconds."""

    message: str
    at: float


class EndpointFolder:
    """Paths and small files below ``$FUNCX_HOME/<name>``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.name
        self.config = path / "config.py"
        self.yaml = path / "config.yaml"
        self.keys = path / "curve.key.json"
        self.lock = path / "agent.lock"
        self.stop_request = path / "stop.json"
        self.manager_settings = path / "managers.json"
        self.results = path / UNACKED_RESULTS
        self.leases = path / "leases"
        self.large = path / LARGE
        self.scripts = path / "blocks"
        self.tasks = path / "tasks"
        self.logs = path / "logs"
        self.agent_output = self.logs / "agent.out"
        self._endpoint = path / "endpoint.json"
        self._status = path / "status.json"
        self._last_error = path / "last-error.json"

    @property
    def exists(self) -> bool:
        """Whether the endpoint was configured."""
        return self.config.is_file() or self.yaml.is_file()

    def create(self) -> None:
        """Make the folder, readable by its owner only."""
        private_dir(self.path)
        self.path.chmod(0o700)
        self.logs.mkdir(mode=0o700, exist_ok=True)
        earlier = self.path / _EARLIER_RESULTS
        if earlier.is_dir() and not self.results.exists():
            earlier.rename(self.results)

    def endpoint_id(self) -> EndpointId | None:
        """Return the endpoint's id, or None if it was never started."""
        found = self._read_endpoint()
        return found.endpoint_id if found else None

    def ensure_endpoint_id(self) -> EndpointId:
        """Return the endpoint's id; its first call makes one."""
        found = self._read_endpoint()
        if found is None:
            found = EndpointFile(new_endpoint_id())
            write_private(self._endpoint, msgspec.json.encode(found))
        return found.endpoint_id

    def _read_endpoint(self) -> EndpointFile | None:
        try:
            found = msgspec.json.decode(self._endpoint.read_bytes(), type=EndpointFile)
            parse_id(found.endpoint_id, "endpoint id")
        except FileNotFoundError:
            return None
        except (msgspec.MsgspecError, OSError, ValueError) as error:
            raise ConfigError(
                f"{self._endpoint} cannot be read: {error}. Restore it, or remove it for a new id."
            ) from None
        return found

    def adopt_endpoint_id(self, endpoint_id: str) -> None:
        """Make this the endpoint's id.

        Raises:
            ConfigError: it has another one.
        """
        wanted, found = EndpointId(parse_id(endpoint_id, "endpoint id")), self._read_endpoint()
        if found is None:
            write_private(self._endpoint, msgspec.json.encode(EndpointFile(wanted)))
        elif found.endpoint_id != wanted:
            raise ConfigError(
                f"Endpoint '{self.name}' has the id {found.endpoint_id} already. Leave --endpoint-uuid out, or configure another one."
            )

    def last_error(self) -> LastError | None:
        """Return why the endpoint's agent ended or did not start the last time, or None if all was well."""
        try:
            return msgspec.json.decode(self._last_error.read_bytes(), type=LastError)
        except (OSError, msgspec.MsgspecError):
            return None

    def write_last_error(self, message: str, *, at: float) -> None:
        """Remember for `status` what went wrong. A full disk forgets it."""
        with suppress(OSError):
            self._last_error.write_bytes(msgspec.json.encode(LastError(message, at)))

    def clear_last_error(self) -> None:
        """The endpoint is online."""
        self._last_error.unlink(missing_ok=True)

    def status(self) -> Status | None:
        """Return the agent's latest word, or None."""
        try:
            return msgspec.json.decode(self._status.read_bytes(), type=Status)
        except (OSError, msgspec.MsgspecError):
            return None

    def write_status(self, status: Status) -> None:
        """Replace the agent's word. It may be lost in a power cut, and a full disk keeps the old one."""
        temporary = self._status.with_suffix(".new")
        try:
            temporary.write_bytes(msgspec.json.encode(status))
            temporary.replace(self._status)
        except OSError:
            return

    def clear_status(self) -> None:
        """The agent has ended."""
        self._status.unlink(missing_ok=True)


def endpoint_folder(name: str) -> EndpointFolder:
    """Return the folder of the endpoint called `name`; it need not exist.

    Raises:
        ConfigError: if an endpoint cannot be called that.
    """
    if not NAME.fullmatch(name):
        raise ConfigError(
            f"'{name[:80]}' cannot be the name of an endpoint: letters, digits, '_', '.' and '-' only, at most 64, and a letter or digit first."
        )
    if name in RESERVED:
        raise ConfigError(f"'{name}' is taken by funcX itself. Choose another name.")
    return EndpointFolder(home() / name)


def all_endpoints() -> list[EndpointFolder]:
    """Return every configured endpoint of this user, by name."""
    folders = [EndpointFolder(path) for path in sorted(home().iterdir()) if NAME.fullmatch(path.name)]
    return [folder for folder in folders if folder.exists and folder.name not in RESERVED]


class AgentLock:
    """Held by an endpoint's agent for as long as it lives: an advisory lock of the kernel, and who holds it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._handle = -1

    def acquire(self) -> None:
        """Take the lock.

        Raises:
            Conflict: if another agent has it.
        """
        handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            raise Conflict("Another agent of this endpoint is running.") from None
        before = self.last_holder()
        if before is not None and before.is_alive and before.pid != os.getpid():
            # Its lock is another file's, or this file system has no locks.
            os.close(handle)
            raise Conflict(
                f"Another agent of this endpoint is running, as process {before.pid}; is this folder a copy?"
            )
        os.ftruncate(handle, 0)
        os.pwrite(handle, msgspec.json.encode(identity()), 0)
        self._handle = handle

    def release(self) -> None:
        """Give the lock up."""
        if self._handle >= 0:
            os.ftruncate(self._handle, 0)
            os.close(self._handle)
            self._handle = -1

    def holder(self) -> Identity | None:
        """Return the agent that runs, or None. What is left of one that is gone (another boot, a dead or reused pid) does not count."""
        found = self.last_holder()
        if found is None or (found.is_here and not found.is_alive):
            return None
        if not self._is_locked():
            return None
        return found

    def last_holder(self) -> Identity | None:
        """Return who wrote the lock file, running or not; None if it was given up in order."""
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=Identity)
        except (OSError, msgspec.MsgspecError):
            return None

    def _is_locked(self) -> bool:
        try:
            handle = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        else:
            return False
        finally:
            os.close(handle)
