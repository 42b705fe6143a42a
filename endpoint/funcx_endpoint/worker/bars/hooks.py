"""The bars of the task that runs in this worker: which of them are told, and how the libraries that draw them get to know."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any, Final

from funcx_core.progress import place
from funcx_core.progress.board import Board
from funcx_core.protocol.progress import Progress, write_progress
from funcx_endpoint.worker.bars.late import Late
from funcx_endpoint.worker.bars.rich_bars import change_progress
from funcx_endpoint.worker.bars.tqdm_bars import change_notebook, change_std

AUTO: Final = "auto"
"""Bars are told as what they are."""
TEXT: Final = "text"
"""Bars are the characters that their library writes."""
OFF: Final = "off"
"""There are no bars."""


class Bars:
    """The bars of a worker.

    Args:
        tell: takes the body of an event.
        is_ours: whether what is written to this stream reaches the user of a task that runs now.
    """

    def __init__(self, tell: Callable[[bytes], None], is_ours: Callable[[Any], bool]) -> None:
        self._tell = tell
        self._is_ours = is_ours
        self._manner = AUTO
        self.board = Board(self._told)

    def install(self) -> None:
        """Let libraries use the board, those that a task imports later, too."""
        changes: dict[str, Callable[[ModuleType], None]] = {
            "tqdm.std": partial(change_std, board=self.board, takes=self.takes),
            "tqdm.notebook": change_notebook,
            "rich.progress": partial(change_progress, board=self.board, takes=self.takes),
        }
        Late(changes).install()
        place.install(self.board, self.takes)

    def choose(self, manner: str) -> None:
        """Show the bars of the running task in this manner."""
        self._manner = manner

    def takes(self, stream: Any) -> bool:
        """Whether a bar that would write to this stream belongs on the board."""
        return self._manner != TEXT and self._is_ours(stream)

    def finish(self) -> None:
        """The task has ended: tell how its bars are now. Cheap if it had none."""
        if self.board.is_used:
            self.board.finish()
        self._manner = AUTO

    def _told(self, progress: Progress) -> None:
        if self._manner != OFF:
            self._tell(write_progress(progress))
