"""Which published client asks, as far as its answer depends on it."""

from __future__ import annotations

from enum import Enum, auto
from typing import Final

_THEIRS: Final = "globus-sdk-py-"
"""All published clients stand on the Globus SDK, and its name comes first in their User-Agent."""
_SINCE_1_0: Final = ("/funcx-sdk-", "/globus-compute-sdk-")


class Dialect(Enum):
    """How a task is told to a client."""

    OURS = auto()
    """All states; a failure is text. For our client, and for whoever reads JSON."""
    TEXT = auto()
    """funcx 1.0 and its successor: they know the states that a published service had; a failure is text."""
    OBJECT = auto()
    """funcx 0.1 to 0.3: a failure is a pickled object with a method that raises it."""
    OBJECT_01 = auto()
    """funcx 0.0: the same, with the identifier ``01`` on all pickles, because it takes ``00`` for JSON."""

    @property
    def pickle_identifier(self) -> str:
        """What pickled data begins with."""
        return "01\n" if self is Dialect.OBJECT_01 else "00\n"


def dialect_of(path: str, agent: str) -> Dialect:
    """Return the dialect in which a request is answered that has this path and User-Agent."""
    if path.startswith("/v1/"):
        return Dialect.OBJECT_01
    if not agent.startswith(_THEIRS):
        return Dialect.OURS
    return Dialect.TEXT if any(mark in agent for mark in _SINCE_1_0) else Dialect.OBJECT
