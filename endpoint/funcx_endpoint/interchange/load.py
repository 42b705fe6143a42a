"""The load of an endpoint, as those see it who decide about blocks."""

from __future__ import annotations

from collections import Counter
from typing import Final

from funcx_core.protocol.task import ContainerImage
from funcx_endpoint.blocks.records import ANY_KIND, Load
from funcx_endpoint.interchange.state import Interchange

IMAGES: Final = frozenset({"docker", "podman"})
"""Kinds of containers that are made of images in registries."""


class LoadOf:
    """What the interchange's machine tells of its load. Belongs to the agent's loop."""

    def __init__(self, state: Interchange) -> None:
        self._state = state
        self._images: dict[str, ContainerImage] = {}

    def load(self, *, by_kind: bool) -> Load:
        """Return the slots that open tasks need, and which managers are busy; with `by_kind` also how many of each kind."""
        state = self._state
        busy = frozenset(record.manager_id for record in state.managers if record.leased)
        return Load(state.demand, busy, self._by_container() if by_kind else {})

    def breakdown(self) -> list[tuple[str, int, bool]]:
        """Return the tasks in the queue and at each manager, and whether it takes more."""
        return self._state.get_outstanding_breakdown()

    def workers(self) -> int:
        """Return the workers of all managers."""
        return self._state.get_total_live_workers()

    def image(self, kind: str) -> str:
        """Return the image of a container, by its id, as a cluster's nodes would fetch it.

        Raises:
            LookupError: there is none; says why.
        """
        found = self._images.get(kind)
        if found is None or found.kind not in IMAGES:
            what = "deleted" if found is None or not found.kind else f"registered for {found.kind}"
            raise LookupError(f"The container '{kind}' was {what}; pods are made of images for docker or podman.")
        return found.location.removeprefix("docker://")

    def _by_container(self) -> dict[str, int]:
        found: Counter[str] = Counter()
        for task in self._state.open_tasks():
            options = task.options
            kind = ANY_KIND if options is None else options.container_id or ANY_KIND
            found[kind] += 1
            if options is not None and options.container is not None:
                self._images[kind] = options.container
        return found
