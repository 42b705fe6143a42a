"""Copies of a service's data folder, made while it serves. To restore one, put its content in place of the data folder's.

A copy is a folder named by its time. In it are the database as it was at one moment, the payloads, results and large values that
it names (as hard links: they are never changed, so they cost nothing until the original is deleted), and the forwarder's key, by
which endpoints know the service. Large values that are kept outside the data folder are not in it. Uploads that are under way have not
begun in it, because their files do change: whoever sends them begins anew.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import shutil
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from funcx_core.home import private_dir
from funcx_core.service.blobs.files import LARGE, PART
from funcx_core.service.store.base import Store

FOLDER: Final = "backups"
_FORM: Final = "%Y%m%dT%H%M%SZ"
_BESIDE: Final = ("forwarder.key", "ports.json", "service.toml")
_LINKED: Final = ("blobs", LARGE)

_is_copy = re.compile(r"\d{8}T\d{6}Z").fullmatch

_log = logging.getLogger(__name__)


class Backups:
    """The copies of one data folder."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._path = data_dir / FOLDER

    def newest(self) -> float:
        """Return when the newest copy was made, in Unix seconds; 0 if there is none."""
        copies = self._copies()
        return datetime.strptime(copies[-1].name, _FORM).replace(tzinfo=UTC).timestamp() if copies else 0.0

    async def make(self, store: Store, *, keep: int, now: float) -> Path:
        """Make a copy, then delete all but the newest `keep`; return the new one."""
        started = time.monotonic()
        folder = private_dir(self._path) / f"{datetime.fromtimestamp(now, UTC).strftime(_FORM)}"
        unfinished = self._path / f"{folder.name}.unfinished"
        await asyncio.to_thread(self._begin, unfinished)
        await store.copy_database(unfinished / "funcx.db")
        await asyncio.to_thread(self._finish, unfinished, folder)
        for old in self._copies()[:-keep]:
            await asyncio.to_thread(shutil.rmtree, old, ignore_errors=True)
        _log.info("copied the database to %s in %.1f s", folder, time.monotonic() - started)
        return folder

    def _begin(self, unfinished: Path) -> None:
        for left in self._path.glob("*.unfinished"):  # of a process that was killed
            shutil.rmtree(left, ignore_errors=True)
        private_dir(unfinished)
        # What is named at the moment of the copy was there before, or is there after it.
        self._link(unfinished)

    def _finish(self, unfinished: Path, folder: Path) -> None:
        self._link(unfinished)
        for name in _BESIDE:
            with suppress(FileNotFoundError):
                shutil.copy2(self._data_dir / name, unfinished / name)
        handle = os.open(unfinished / "funcx.db", os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
        unfinished.replace(folder)

    def _link(self, unfinished: Path) -> None:
        for name in _LINKED:
            target = private_dir(unfinished / name)
            source = self._data_dir / name
            for entry in os.scandir(source) if source.is_dir() else ():
                # What has not come as a whole is still written to.
                if entry.is_file(follow_symlinks=False) and not entry.name.endswith(PART):
                    with suppress(FileExistsError, FileNotFoundError):
                        os.link(entry.path, target / entry.name)

    def _copies(self) -> list[Path]:
        if not self._path.is_dir():
            return []
        return sorted(path for path in self._path.iterdir() if _is_copy(path.name))
