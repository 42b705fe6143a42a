"""A question that is asked again and again, and costs next to nothing while its answer stays the same."""

from __future__ import annotations

import threading
from typing import Any, NamedTuple, Protocol

from funcx_core.sdk.web import Tagged


class Web(Protocol):
    """What is asked."""

    def post_again(self, *path: str, body: Any, tag: str) -> Tagged | None:
        """See `WebClient.post_again`."""


class Answer(NamedTuple):
    """What the service answers; if not `is_new`, it is what it answered before. Others may be told the same: leave it as it is."""

    content: Any
    is_new: bool


class _Known(NamedTuple):
    web: Web
    body: Any
    answer: Tagged


class RepeatedQuestion:
    """Remembers the last answer, and asks whether it is still good. Safe from any thread.

    Args:
        path: of the question, which is posted.
        largest: bytes of an answer that is remembered, at most.
    """

    def __init__(self, *path: str, largest: int) -> None:
        self._path = path
        self._largest = largest
        self._known: _Known | None = None
        self._lock = threading.Lock()

    def ask(self, web: Web, body: Any) -> Answer:
        """Return the answer to a body of this question. Raises as `WebClient.request` does.

        Args:
            web: is asked. What another one has answered does not count.
            body: is compared with that of the last time, and not to be changed afterwards.
        """
        with self._lock:
            known = self._known
        if known is not None and (known.web is not web or known.body != body):
            known = None
        answer = web.post_again(*self._path, body=body, tag="" if known is None else known.answer.tag)
        if answer is None:
            assert known is not None  # noqa: S101 - without a tag there is always an answer
            return Answer(known.answer.content, is_new=False)
        with self._lock:
            self._known = _Known(web, body, answer) if answer.tag and answer.size <= self._largest else None
        return Answer(answer.content, is_new=True)
