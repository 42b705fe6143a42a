"""A place in a notebook whose content is replaced. It works from any thread, and the saved notebook keeps the last content."""

from __future__ import annotations

import uuid
from typing import Any


class Place:
    """Shows MIME bundles, each in the place of the one before."""

    def __init__(self) -> None:
        self._display_id = uuid.uuid4().hex
        self._is_shown = False
        self._last: dict[str, Any] | None = None

    @property
    def is_shown(self) -> bool:
        """Whether something is there."""
        return self._is_shown

    def show(self, bundle: dict[str, Any]) -> None:
        """Show this, unless it is there."""
        from IPython.display import display, update_display  # noqa: PLC0415 - scripts need no IPython

        if bundle == self._last:
            return
        publish = update_display if self._is_shown else display
        publish(bundle, raw=True, display_id=self._display_id)
        self._is_shown, self._last = True, bundle
