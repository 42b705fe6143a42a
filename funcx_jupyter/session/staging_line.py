"""The header line of a cell whose inputs are on their way: it is there before the task is."""

from __future__ import annotations

from collections.abc import Callable

from funcx_jupyter.display.header import Header


class StagingLine:
    """Shows a header line.

    Args:
        show: puts it on the screen; its second argument says whether for the first time.

    Attributes:
        is_shown: whether the line is there.
    """

    def __init__(self, show: Callable[[Header, bool], None]) -> None:
        self._show = show
        self.is_shown = False

    def show(self, header: Header) -> None:
        """Show it, or change it."""
        self._show(header, not self.is_shown)
        self.is_shown = True

    def end(self, header: Header) -> None:
        """Nothing was sent: change the line, if there is one."""
        if self.is_shown:
            self._show(header, False)
