"""``storage.db``: the tokens of Globus Auth, in a file that several processes may use at a time.

globus-sdk reads and writes the rows; funcX 1.0.6 has the same table in the same place. Two things are added here,
because processes start together: the tables are made in one transaction (globus-sdk looks whether the file is there, and
finds it without tables while another process makes it), and a writer waits for another one. The journal is SQLite's usual one and not a write-ahead log, which does not work in a home directory that
is on a network.
"""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

from funcx_core.errors import ConfigError

FILE: Final = "storage.db"
WAIT_SECONDS: Final = 30.0
"""For another process that writes."""

_TABLES: Final = """
    CREATE TABLE IF NOT EXISTS token_storage (
        namespace VARCHAR NOT NULL,
        resource_server VARCHAR NOT NULL,
        token_data_json VARCHAR NOT NULL,
        PRIMARY KEY (namespace, resource_server)
    );
    CREATE TABLE IF NOT EXISTS sdk_storage_adapter_internal (
        attribute VARCHAR NOT NULL,
        value VARCHAR NOT NULL,
        PRIMARY KEY (attribute)
    );
    INSERT OR IGNORE INTO sdk_storage_adapter_internal VALUES ('globus-sdk.database_schema_version', '2')
"""


class TokenStore:
    """The tokens of one namespace, by resource server. Safe from any thread and any number of processes.

    The file is open during a call only: calls are rare, and so it is closed in whatever way a program ends or forks.

    Args:
        path: the file; it is made with mode 0600.
        namespace: one for each environment and each program, as ``user/production``.

    Every method raises `ConfigError` if others may read the file, or it is no database.
    """

    def __init__(self, path: Path, namespace: str) -> None:
        self.namespace = namespace
        self._path = path

    def tokens(self) -> dict[str, Any]:
        """Return the `globus_sdk.token_storage.TokenStorageData` of each resource server."""
        with self._open() as storage:
            found: dict[str, Any] = storage.get_token_data_by_resource_server()
        return found

    def keep_response(self, response: Any) -> None:
        """Keep what Globus Auth answered, in place of what there was for the same resource servers."""
        with self._open() as storage:
            storage.store_token_response(response)

    def keep(self, tokens: Mapping[str, Any]) -> None:
        """Keep tokens, in place of what there was for the same resource servers."""
        with self._open() as storage:
            storage.store_token_data_by_resource_server(tokens)

    def remove(self, resource_servers: Iterable[str]) -> None:
        """Forget the tokens for these resource servers."""
        with self._open() as storage:
            for resource_server in resource_servers:
                storage.remove_token_data(resource_server)

    @contextmanager
    def _open(self) -> Iterator[Any]:
        from globus_sdk.token_storage import SQLiteTokenStorage  # noqa: PLC0415 - only who signs in by Globus pays for it

        _prepare(self._path)
        try:
            storage = SQLiteTokenStorage(self._path, namespace=self.namespace, connect_params={"timeout": WAIT_SECONDS})
            with closing(storage):
                yield storage
        except (sqlite3.Error, ValueError) as error:
            raise _unusable(self._path, error) from error


def _prepare(path: Path) -> None:
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise ConfigError(f"Others may read {path}, which holds tokens. Run: chmod 600 '{path}'")
        with closing(sqlite3.connect(path, timeout=WAIT_SECONDS, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            for statement in _TABLES.split(";"):
                connection.execute(statement)
            connection.execute("COMMIT")
    except (OSError, sqlite3.Error) as error:
        raise _unusable(path, error) from error


def _unusable(path: Path, error: Exception) -> ConfigError:
    return ConfigError(f"{path} cannot be used: {error}. Move it away and sign in again.")
