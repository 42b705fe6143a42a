"""Which answers about tasks are still good: who has such a one is told so in a few bytes, without a look at any task."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection
from hashlib import blake2b
from typing import Final, NamedTuple

from funcx_core.ids import EndpointId, UserId

AT_MOST: Final = 1_000
"""Answers that are remembered, not counting what they say: a hundred bytes each, and as much again for each endpoint."""

HasChanged = Callable[[int, Collection[EndpointId] | None], bool]


class Question(NamedTuple):
    """Who asked for what: the request's body as a digest, and the way in which the answer is written."""

    user_id: UserId
    body: bytes
    manner: str


class _Answer(NamedTuple):
    tag: str
    revision: int
    endpoint_ids: frozenset[EndpointId] | None


class KnownAnswers:
    """The newest answers, by question.

    Args:
        has_changed: of the store; see `Store.has_changed`.
        at_most: how many are remembered. Of one that is not, the tasks are looked at.
    """

    def __init__(self, has_changed: HasChanged, at_most: int = AT_MOST) -> None:
        self._has_changed = has_changed
        self._at_most = at_most
        self._answers: OrderedDict[Question, _Answer] = OrderedDict()

    def is_good(self, question: Question, tag: str) -> bool:
        """Whether the answer with this tag would be given again now."""
        known = self._answers.get(question)
        if known is None or known.tag != tag or self._has_changed(known.revision, known.endpoint_ids):
            return False
        self._answers.move_to_end(question)
        return True

    def keep(self, question: Question, tag: str, revision: int, endpoint_ids: frozenset[EndpointId] | None) -> None:
        """Remember an answer.

        Args:
            question: what was asked.
            tag: of the answer.
            revision: of the store, before the tasks were read.
            endpoint_ids: where its tasks are; None if some of them are not known.
        """
        self._answers[question] = _Answer(tag, revision, endpoint_ids)
        self._answers.move_to_end(question)
        while len(self._answers) > self._at_most:
            self._answers.popitem(last=False)


def digest(content: bytes) -> bytes:
    """Return what two contents have in common if and only if they are the same."""
    return blake2b(content, digest_size=16).digest()


def tag_of(content: bytes) -> str:
    """Return the ``ETag`` of an answer: the same content has the same one, also after a restart."""
    return f'"{digest(content).hex()}"'
