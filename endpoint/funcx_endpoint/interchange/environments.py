"""The kinds of nodes that an endpoint has, as its managers report them."""

from __future__ import annotations

import msgspec

from funcx_core.protocol.environment import MOST_ENVIRONMENTS, MOST_IMAGES, Environment


class Environments:
    """Different environments, latest last. A kind stays known when its last node is gone: the next block is like it."""

    def __init__(self) -> None:
        self._known: list[Environment] = []

    @property
    def known(self) -> list[Environment]:
        """All of them."""
        return list(self._known)

    def note(self, environment: Environment) -> bool:
        """A manager reported this; whether that is news."""
        if environment in self._known:
            return False
        same_place = [one for one in self._known if _place(one) == _place(environment)]
        environment = _with_images_of(same_place, environment)
        if environment in self._known:
            return False
        for replaced in same_place:
            self._known.remove(replaced)  # somebody installed something there
        self._known = [*self._known, environment][-MOST_ENVIRONMENTS:]
        return True


def _with_images_of(others: list[Environment], environment: Environment) -> Environment:
    """Return it with what other nodes of its kind have told of images: each knows those of its own workers."""
    images = {name: identity for one in (*others, environment) for name, identity in one.images.items()}
    return msgspec.structs.replace(environment, images=dict(list(images.items())[-MOST_IMAGES:]))


def _place(environment: Environment) -> tuple[str, str, int, int]:
    return environment.executable, environment.container, environment.cores, environment.memory_bytes
