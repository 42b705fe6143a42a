"""Brings what is too large to travel with a cell into the service's store, unless it is there already.

What a cell needs is announced first: that says what the store has, and keeps it there for a day. The rest is uploaded, in chunks; what
has arrived of an upload that was interrupted is not sent again. Nothing is sent that would take longer than the user wants to
wait unasked: how long is known from what was uploaded before, or from the first chunks.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Final, Protocol

import msgspec

from funcx_core.errors import BlobNotFound, Conflict, FuncxError
from funcx_core.ids import new_blob_id
from funcx_core.protocol.blob import BlobReference, BlobState
from funcx_core.protocol.client import Limits
from funcx_core.sdk.transfer import Content, OnProgress, Progress, present_bytes
from funcx_jupyter.capture.streams import Part
from funcx_jupyter.capture.values import Captured
from funcx_jupyter.display import words
from funcx_jupyter.errors import CellInterrupted, LargeInputError, shown_in_one_line

_TELLING: Final = 1024 * 1024
"""Bytes from which on an upload says how fast uploads are."""
_SOON: Final = 0.5
"""Seconds after which the first chunks say it; and between two changes of the line, at least, a fifth of it."""
_AT_ONCE: Final = 4


class BlobStore(Protocol):
    """The service's store for large values: see `funcx_core.sdk.transfer.Transfer`."""

    def announce(self, reference: BlobReference) -> BlobState:
        """Make a blob, or find it, and return what is there of it."""

    def send(
        self, reference: BlobReference, content: Content, state: BlobState, *, on_progress: OnProgress | None = None
    ) -> None:
        """Upload what is not there of an announced blob."""

    def state(self, reference: BlobReference) -> BlobState:
        """Return what is there of a blob. Raises `BlobNotFound`."""

    def delete(self, reference: BlobReference) -> None:
        """Give up a blob."""

    def close(self) -> None:
        """End what is under way."""


class Staged(msgspec.Struct, frozen=True):
    """What of a cell is in the store now, and the SHA-256s of what was there before."""

    blobs: list[BlobReference] = []
    cached: frozenset[str] = frozenset()


class _TooLong(Exception):
    """The rest would take longer than the user wants to wait. `left`: its bytes. `rate`: bytes per second."""

    def __init__(self, left: int, rate: float) -> None:
        self.left = left
        self.rate = rate
        super().__init__()


class Staging:
    """Uploads of one kernel.

    Args:
        clock: monotonic seconds.

    Attributes:
        rate: bytes per second of the last upload; None before the first.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.rate: float | None = None
        self._clock = clock
        self._known: dict[str, BlobReference] = {}

    def stage(
        self,
        store: BlobStore,
        captured: Captured,
        limits: Limits,
        *,
        endpoint: str,
        seconds: float,
        tell: Callable[[str], None],
    ) -> Staged:
        """Bring the parts of a cell into the store.

        Args:
            store: of the service that runs the cell.
            captured: what goes with the cell.
            limits: of the service.
            endpoint: where the cell will run, for people.
            seconds: that it may take.
            tell: shows how far it is.

        Raises:
            LargeInputError: it takes too long, or the service takes nothing so large.
            CellInterrupted: the user stopped it.
            FuncxError: the service does not take it, or does not answer.
        """
        parts = captured.packed.parts
        if not parts:
            return Staged()
        for sha256, part in parts.items():
            if part.size > limits.max_blob:
                raise LargeInputError(
                    f"`{_owner(captured, [sha256])}` has {words.size(part.size)} in one piece, and this service takes at most "
                    f"{words.size(limits.max_blob)}. Load it inside the cell, or exclude it."
                )
        try:
            states = self._announce(store, parts)
            todo = [sha256 for sha256, state in states.items() if not state.complete]
            missing = sum(states[sha256].size - present_bytes(states[sha256]) for sha256 in todo)
            meter = _Meter(missing, self._clock, self.rate, seconds, tell)
            self._send(store, captured, {sha256: states[sha256] for sha256 in todo}, meter)
        except _TooLong as error:
            self._give_back(store, parts)
            raise _too_long(captured, todo, error, endpoint) from None
        except KeyboardInterrupt:
            store.close()
            raise CellInterrupted(
                "The cell was not sent. What was staged of its inputs is kept for a day, and is not sent again.", ""
            ) from None
        except FuncxError as error:
            self._give_back(store, parts)
            raise shown_in_one_line(error) from None
        return Staged([self._known[sha256] for sha256 in parts], frozenset(parts.keys() - set(todo)))

    def is_there(self, store: BlobStore, references: Iterable[BlobReference]) -> bool:
        """Whether all of these blobs are in the store still."""
        try:
            return all(store.state(reference).complete for reference in references)
        except BlobNotFound:
            return False

    def present(self, store: BlobStore, parts: Iterable[str]) -> frozenset[str]:
        """Return which of the parts this kernel has staged, and the store still has. Changes nothing."""
        known = [self._known[sha256] for sha256 in parts if sha256 in self._known]
        return frozenset(reference.sha256 for reference in known if self.is_there(store, [reference]))

    def seconds(self, size: int) -> float | None:
        """Return how long so many bytes will take; None if that is not known."""
        return None if self.rate is None else size / self.rate

    def _announce(self, store: BlobStore, parts: dict[str, Part]) -> dict[str, BlobState]:
        def announce(sha256: str) -> BlobState:
            reference = self._known.setdefault(sha256, BlobReference(new_blob_id(), parts[sha256].size, sha256))
            try:
                return store.announce(reference)
            except Conflict:  # It has expired; its id cannot be used again.
                self._known[sha256] = BlobReference(new_blob_id(), parts[sha256].size, sha256)
                return store.announce(self._known[sha256])

        if len(parts) == 1:
            return {sha256: announce(sha256) for sha256 in parts}
        threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="funcx-announce")
        try:
            return dict(zip(parts, threads.map(announce, parts), strict=True))
        except KeyboardInterrupt:
            store.close()
            raise
        finally:
            threads.shutdown(cancel_futures=True)

    def _give_back(self, store: BlobStore, parts: Iterable[str]) -> None:
        """Let go of what was announced and not begun: it counts against the user's quota. What was begun may be gone on with."""
        for sha256 in parts:
            reference = self._known.get(sha256)
            if reference is None:
                continue
            with suppress(FuncxError):
                state = store.state(reference)
                if not state.complete and not state.received:
                    store.delete(reference)
                    del self._known[sha256]

    def _send(self, store: BlobStore, captured: Captured, states: dict[str, BlobState], meter: _Meter) -> None:
        try:
            meter.check()
            for sha256, state in states.items():
                meter.begin(_owner(captured, [sha256]), present_bytes(state))
                content = captured.packed.parts[sha256].content()
                store.send(self._known[sha256], content, state, on_progress=meter.progress)
        finally:
            self.rate = meter.rate


def _too_long(captured: Captured, parts: Iterable[str], error: _TooLong, endpoint: str) -> LargeInputError:
    name = _owner(captured, parts)
    size = next((value.size for value in captured.values if value.name == name), error.left)
    return LargeInputError(
        f"`{name}` is {words.size(size)}; staging it will take about {words.lasting(error.left / error.rate)} at "
        f"{words.size(round(error.rate))}/s. Use `--ref`-ed data on {endpoint}, or pass --yes."
    )


def _owner(captured: Captured, parts: Iterable[str]) -> str:
    """Return the largest variable that has bytes in these parts; if none has, they are the modules that go with the cell."""
    wanted = set(parts)
    having = [value for value in captured.values if wanted & value.parts]
    return max(having, key=lambda value: value.size).name if having else "modules"


class _Meter:
    """How fast it goes, and how far it is. Raises `_TooLong` from `check` and `progress`."""

    def __init__(
        self, total: int, clock: Callable[[], float], rate: float | None, limit: float, tell: Callable[[str], None]
    ) -> None:
        self.rate = rate
        self._total = total
        self._clock = clock
        self._limit = limit
        self._tell = tell
        self._started = clock()
        self._told = -_SOON
        self._name = ""
        self._before = 0
        self._done = 0
        self._present = 0

    @property
    def _left(self) -> int:
        return self._total - self._done

    def check(self) -> None:
        """Look whether the rest is worth the wait, as far as that is known."""
        if self.rate is not None and self._left / self.rate > self._limit:
            raise _TooLong(self._left, self.rate)

    def begin(self, name: str, present: int) -> None:
        """A blob of this variable is sent now, of which so many bytes are there."""
        self._name, self._before, self._present = name, self._done, present

    def progress(self, progress: Progress) -> None:
        """Some of the blob has arrived."""
        self._done = self._before + progress.done - self._present
        now = self._clock()
        taken = now - self._started
        if self._done >= _TELLING and taken > 0:
            self.rate = self._done / taken
            if taken > _SOON:
                self.check()
        if now >= self._told + _SOON / 5 and self._left:
            self._told = now
            speed = "" if self.rate is None else f" at {words.size(round(self.rate))}/s"
            self._tell(f"staging {self._name}: {words.size(self._done)} of {words.size(self._total)}{speed}")
