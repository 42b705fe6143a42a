"""How an endpoint runs containers, and what kind of worker a task needs for that. Pure."""

from __future__ import annotations

from typing import Final

import msgspec

from funcx_core.protocol.task import ContainerImage, Function, Task
from funcx_endpoint.manager.containers import runtimes

PLAIN: Final = ""
"""The kind of workers that run in no container."""


class ContainerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How an endpoint runs containers.

    Attributes:
        kind: which runtime.
        image: what all workers run in whose task names no container; empty for none.
        options: words that are added to the runtime's command line.
        is_single_use: whether each task has a container of its own.
        idle_seconds: after which a worker without tasks, in a container that tasks asked for, gives way to an ordinary one.
    """

    kind: str
    image: str = ""
    options: list[str] = []
    is_single_use: bool = False
    idle_seconds: float = 60.0


class Kinds:
    """The kinds of workers that there may be. A kind is the location of a container, or `PLAIN`."""

    def __init__(self, settings: ContainerSettings | None, own: str = "") -> None:
        """`own`: id of the container in which the manager runs, with all its workers; empty for none."""
        self._settings = settings
        self._own = own
        self._images: dict[str, ContainerImage] = {}
        self.idle_seconds = settings.idle_seconds if settings is not None else 0.0
        self.default = PLAIN
        if settings is not None and settings.image:
            self.default = settings.image
            self._images[settings.image] = ContainerImage("", settings.kind, settings.image)

    @property
    def may_differ(self) -> bool:
        """Whether there can be more than one kind."""
        return self._settings is not None

    def image(self, kind: str) -> ContainerImage | None:
        """Return what a worker of this kind runs in."""
        return self._images.get(kind)

    def is_single_use(self, kind: str) -> bool:
        """Whether a worker of this kind runs one task only."""
        return self._settings is not None and self._settings.is_single_use and kind in self._images

    def registered(self) -> list[str]:
        """Return the types of containers, as they are registered with the service, that run here."""
        if self._settings is None:
            return []
        return [kind for kind in runtimes.KINDS if runtimes.runs(self._settings.kind, kind)]

    def of(self, task: Task, function: Function) -> str:
        """Return the kind of worker that a task needs.

        Raises:
            LookupError: there is none here; says why.
        """
        image = wanted(task, function)
        if image is None or (self._own and image.container_id == self._own):
            return self.default
        if not image.kind:
            raise LookupError(
                f"The container '{image.container_id}' was deleted. Register it anew, and the function with it."
            )
        if self._settings is None:
            raise LookupError(
                f"The task asks for a {image.kind} container, and this endpoint runs none. "
                f"Its owner can set container_type='{image.kind}', or submit the function without a container."
            )
        if not runtimes.runs(self._settings.kind, image.kind):
            raise LookupError(
                f"The task asks for a {image.kind} container, and this endpoint runs those of {self._settings.kind}. "
                f"Register the container for {self._settings.kind}, too."
            )
        self._images.setdefault(image.location, ContainerImage("", self._settings.kind, image.location))
        return image.location


def wanted(task: Task, function: Function) -> ContainerImage | None:
    """Return the container that a task asks for: its own, or that of its function."""
    options = task.options
    if options is not None and options.container is not None:
        return options.container
    return function.container
