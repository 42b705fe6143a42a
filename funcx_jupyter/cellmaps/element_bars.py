"""The progress bars that elements of a map have, of those that run now: a few, in rows under the map's own bar. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from funcx_core.protocol.progress import Bar, BarState, Progress, read_progress
from funcx_core.protocol.task import EventKind, TaskEvent, TaskState

MOST_ROWS: Final = 4
"""Bars that are shown: those of the newest tasks that run. Others are counted."""


class ElementBars:
    """Hears what the tasks of a map tell, on any thread. Of each the last word counts: it has all bars of the element that runs."""

    def __init__(self) -> None:
        self._told: dict[str, bytes] = {}

    def on_event(self, event: TaskEvent) -> None:
        """A task has told something."""
        if event.kind is EventKind.PROGRESS:
            self._told[event.task_id] = event.body

    def on_state(self, state: TaskState) -> None:
        """Whether it runs is known without."""

    def rows(self, running: Mapping[str, Sequence[int]], name_of: Callable[[int], str]) -> Progress:
        """Return the bars to show.

        Args:
            running: the tasks that have not ended: of each the numbers of its elements, in the order in which they run.
            name_of: gives the name of the element of a number.
        """
        for task_id in [task_id for task_id in list(self._told) if task_id not in running]:
            self._told.pop(task_id, None)
        found: list[Bar] = []
        for task_id in sorted(self._told, reverse=True):  # Ids rise with time.
            progress = read_progress(self._told[task_id])
            if progress is not None and progress.call is not None and progress.call < len(running[task_id]):
                name = name_of(running[task_id][progress.call])
                found += [_named(bar, name) for bar in progress.bars if bar.state is BarState.OPEN]
        return Progress(bars=found[:MOST_ROWS], more=len(found[MOST_ROWS:]))


def _named(bar: Bar, name: str) -> Bar:
    return msgspec.structs.replace(bar, description=f"[{name}] {bar.description}".rstrip())
