"""The seam between web services and forwarders.

A queue hands messages over and wakes the reader up. It is never the truth: whatever it loses is found again in the store
by the reader's sweep. So an implementation may drop everything, but must never invent or alter a message.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Generic, TypeVar

from funcx_core.errors import TryAgainLater

T = TypeVar("T")


class NotConnected(TryAgainLater):
    """The queue is not connected or was closed."""

    code = "queue_not_connected"

    def __init__(self, queue: str) -> None:
        super().__init__(f"Queue '{queue}' is not connected. Call connect() first; if you did, its server is gone.")


class FuncxQueue(ABC, Generic[T]):
    """Named first-in-first-out topics of messages of one type. All methods belong to one asyncio loop."""

    @abstractmethod
    async def connect(self) -> None:
        """Connect. Nothing else works before; safe to call twice."""

    @abstractmethod
    async def close(self) -> None:
        """Disconnect. Waiting `get` calls raise `NotConnected`."""

    @property
    @abstractmethod
    def is_connected(self) -> bool:
        """Whether `put` and `get` can work."""

    @abstractmethod
    async def put(self, topic: str, messages: Sequence[T]) -> bool:
        """Append `messages` to `topic`; False if the topic is full and nothing was appended.

        Raises:
            NotConnected: the queue is not connected.
        """

    @abstractmethod
    async def get(self, topic: str, *, at_most: int = 1000, timeout: float | None = None) -> list[T]:
        """Take what is there, at least one message; an empty list after `timeout` seconds.

        Raises:
            NotConnected: the queue is not connected or was closed meanwhile.
        """
