"""The load of an endpoint, as those see it who decide about blocks."""

from __future__ import annotations

from collections import Counter

from funcx_core.protocol.task import Task
from funcx_endpoint.blocks.records import ANY_KIND, Load
from funcx_endpoint.interchange.state import Interchange


class LoadOf:
    """What the interchange's machine tells of its load. Belongs to the agent's loop."""

    def __init__(self, state: Interchange) -> None:
        self._state = state

    def load(self, *, by_kind: bool) -> Load:
        """Return the slots that open tasks need, and which managers are busy; with `by_kind` also how many of each kind."""
        state = self._state
        busy = frozenset(record.manager_id for record in state.managers if record.leased)
        return Load(state.demand, busy, Counter(map(_container, state.open_tasks())) if by_kind else {})

    def breakdown(self) -> list[tuple[str, int, bool]]:
        """Return the tasks in the queue and at each manager, and whether it takes more."""
        return self._state.get_outstanding_breakdown()

    def workers(self) -> int:
        """Return the workers of all managers."""
        return self._state.get_total_live_workers()


def _container(task: Task) -> str:
    return ANY_KIND if task.options is None else task.options.container_id or ANY_KIND
