"""Which of several settings holds: this kernel's, then the cell's, the notebook's, FUNCX_ENDPOINT, the project's, the user's."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from funcx_jupyter.settings.files import Content, content_of, read_notebook, read_project, read_user
from funcx_jupyter.settings.keys import SETTINGS, as_text, convert

ENDPOINT: Final = "endpoint"
HERE: Final = "this kernel"


class Found(msgspec.Struct, frozen=True):
    """The value of a setting, as the option has it; where it came from; and how it is written there."""

    value: Any
    source: str
    text: str


class Configuration:
    """The settings of one kernel or script.

    Attributes:
        here: what is set in this kernel, by `%config` or `%funcx config`.
        aliases_here: the same, of names for endpoints.
        cell: what the front end tells of the cell that runs.
        notebook: the notebook's file; None where it is not known.

    Args:
        environ: the environment.
        folder: gives the folder from which a project is looked for.
    """

    def __init__(self, environ: Mapping[str, str] = os.environ, folder: Callable[[], Path] = Path.cwd) -> None:
        self.here: dict[str, Any] = {}
        self.aliases_here: dict[str, str] = {}
        self.cell: object = {}
        self.notebook: Path | None = None
        self._environ = environ
        self._folder = folder

    @property
    def folder(self) -> Path:
        """From where a project is looked for."""
        return self._folder()

    def found(self) -> dict[str, Found]:
        """Return what is set, by name.

        Raises:
            ConfigError: somewhere there is what cannot be a setting.
        """
        found: dict[str, Found] = {}
        for content in reversed(self._contents()):
            for name, value in content.values.items():
                found[name] = Found(convert(name, value, content.source), content.source, as_text(value))
        return found

    def endpoint(self) -> str | None:
        """Return the endpoint for cells that name none, if one is set. Raises as `found` does."""
        found = self.found().get(ENDPOINT)
        return None if found is None else str(found.value)

    def defaults(self) -> dict[str, Any]:
        """Return defaults for the options of cells, by the names that the parser has for them. Raises as `found` does."""
        return {SETTINGS[name].action.dest: one.value for name, one in self.found().items() if name != ENDPOINT}

    def aliases(self) -> dict[str, str]:
        """Return names for endpoints, with their ids. Raises as `found` does."""
        merged: dict[str, str] = {}
        for content in reversed(self._contents()):
            merged |= content.aliases
        return merged | self.aliases_here

    def magics(self) -> dict[str, str]:
        """Return the saved cell magics, with their options. Raises as `found` does."""
        merged: dict[str, str] = {}
        for content in reversed(self._contents()):
            merged |= content.magics
        return merged

    def _contents(self) -> list[Content]:
        """Return what all places say, the strongest first."""
        chosen = self._environ.get("FUNCX_ENDPOINT")
        return [
            Content(HERE, self.here),
            content_of(self.cell, "this cell's metadata"),
            *([read_notebook(self.notebook)] if self.notebook else []),
            Content("FUNCX_ENDPOINT", {ENDPOINT: chosen} if chosen else {}),
            read_project(self.folder),
            read_user(),
        ]
