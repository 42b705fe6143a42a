"""The settings of now, for who asks often: files are read again when one of them, or the environment, has changed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from funcx_core.home import home_path
from funcx_core.sdk.settings import CREDENTIALS_FILE, SERVICE_FILE, Settings, load_settings

_VARIABLES: Final = (
    "FUNCX_SERVICE_ADDRESS",
    "FUNCX_SDK_ENVIRONMENT",
    "FUNCX_TOKEN",
    "FUNCX_SDK_CLIENT_ID",
    "FUNCX_SDK_CLIENT_SECRET",
)

_Trace = tuple[object, ...]


class SettingsWatch:
    """Call it for what `load_settings` returns, or raises, at this moment. Safe from any thread."""

    def __init__(self, load: Callable[[], Settings] = load_settings) -> None:
        self._load = load
        self._known: tuple[_Trace, Settings] | None = None

    def __call__(self) -> Settings:
        """Return the settings of now. Raises as `load_settings` does."""
        trace = _trace()  # first: what changes while the files are read counts as a change
        known = self._known
        if known is not None and known[0] == trace:
            return known[1]
        settings = self._load()
        # An authorizer remembers who has signed in, of which these files know nothing: each connection has one of its own.
        self._known = (trace, settings) if settings.authorizer is None else None
        return settings


def _trace() -> _Trace:
    """Return what is another one after any change of what the settings are made of."""
    folder = home_path()
    variables = [os.environ.get(name) for name in _VARIABLES]
    return folder, *variables, _version(folder / SERVICE_FILE), _version(folder / CREDENTIALS_FILE)


def _version(path: Path) -> tuple[int, ...] | None:
    try:
        found = os.stat(path)  # noqa: PTH116 - a third of the price
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size


current_settings: Final = SettingsWatch()
