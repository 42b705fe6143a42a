"""All bars of one task, told together and not too often.

Theory of operation. Whoever draws bars puts them on the board as they change. A change is told at once if nothing was told
for a while; else a thread, started when it is first needed, tells it later with all that changed meanwhile. What is told is
always the whole board, so its end, told by `finish`, is right whatever was lost before. Bars that cannot say that they have
changed are looked at by that thread.

Locks: `tell` is called with the board's lock held, so that what is told is in order; sources are looked at without it.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from typing import Final

from funcx_core.protocol.progress import LONGEST_TEXT, MOST_BARS, Bar, BarState, Progress

SHORTEST: Final = 0.1
"""Seconds between two tellings, at first."""
LONGEST: Final = 1.0
"""Seconds between two tellings of what goes on for long."""
_PART: Final = 0.01
"""Tellings are this part of the time since the first bar apart."""

_NEVER: Final = 1 << 62
"""Larger than any id."""
_ids = itertools.count(1)


def new_bar_id() -> int:
    """Return the id of a bar to come: larger than all before."""
    return next(_ids)


class Board:
    """The bars of what runs in this process. All methods may be called from any thread.

    Args:
        tell: takes the bars as they are. It must not touch bars.
        clock: monotonic seconds.
    """

    def __init__(self, tell: Callable[[Progress], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._tell = tell
        self._clock = clock
        self._lock = threading.RLock()
        self._first_id = 0
        self._bars: dict[int, Bar] = {}
        self._readers: dict[int, Callable[[], Bar | None]] = {}
        self._sources: list[Callable[[], None]] = []
        self._more = 0
        self._whole: tuple[str, int, int] | None = None
        self._call: int | None = None
        self._began = self._told = 0.0
        self._is_changed = False
        self._is_due = threading.Event()
        self._thread: threading.Thread | None = None
        self.is_used = False

    def put(self, bar: Bar, read: Callable[[], Bar | None] | None = None) -> None:
        """A bar is new, or has changed. Those of a task that has ended are not taken.

        Args:
            bar: as it is now.
            read: returns it as it is at the end of the task, if it is open still; None if nobody knows.
        """
        with self._lock:
            if bar.id < self._first_id:
                return
            if read is not None and bar.state is BarState.OPEN:
                self._readers[bar.id] = read
            else:
                self._readers.pop(bar.id, None)
            self._bars[bar.id] = bar
            while len(self._bars) > MOST_BARS and self._forget_one():
                self._more += 1
            self._changed()

    def drop(self, bar_id: int) -> None:
        """A bar is not to be seen any more."""
        with self._lock:
            self._readers.pop(bar_id, None)
            if self._bars.pop(bar_id, None) is not None:
                self._changed()

    def count(self, what: str, n: int, total: int) -> None:
        """Say how far the task is as a whole. `what`: see `Progress.id`."""
        with self._lock:
            if self._first_id == _NEVER:
                return
            self._whole = (what, n, total)
            self._changed()

    def begin_call(self, place: int) -> None:
        """The task runs another one of its calls now: bars are that one's from now on."""
        with self._lock:
            self._end_call()
            self._call = place

    def end_call(self) -> None:
        """The call has ended, and its bars with it; this is told only if they were."""
        with self._lock:
            self._end_call()

    def _end_call(self) -> None:
        self._call = None
        self._sources.clear()
        if self._first_id == _NEVER or not self._bars:
            return
        self._first_id = new_bar_id()
        self._bars.clear()
        self._readers.clear()
        self._more = 0
        self._changed()

    def watch(self, source: Callable[[], None]) -> None:
        """Let `source` put its bars from time to time, from another thread."""
        with self._lock:
            if self._first_id == _NEVER:
                return
            self._sources.append(source)
            self._note_use()
            self._wake()

    def unwatch(self, source: Callable[[], None]) -> None:
        """Do not look at `source` any more."""
        with self._lock:
            if source in self._sources:
                self._sources.remove(source)

    def finish(self) -> None:
        """The task has ended: tell how its bars are, and forget them."""
        for source in self._sources[:]:
            source()
        with self._lock:
            for bar_id, read in list(self._readers.items()):
                last = read()
                if last is not None and bar_id in self._bars:
                    self._is_changed = self._is_changed or last.n != self._bars[bar_id].n
                    self._bars[bar_id] = last
            if self._is_changed:
                self._tell_now()
            self._forget()

    def forget(self) -> None:
        """Forget all bars; whoever draws them is not heard any more."""
        with self._lock:
            self._forget()

    def abandon(self) -> None:
        """In a forked child: another thread may have held the lock, and nobody is told anything from here."""
        self._lock = threading.RLock()
        self._forget()
        self._first_id = _NEVER

    def _forget(self) -> None:
        self._first_id = new_bar_id()
        self._bars.clear()
        self._readers.clear()
        self._sources.clear()
        self._more, self._whole, self._call = 0, None, None
        self._is_changed = self.is_used = False

    def _forget_one(self) -> bool:
        """Forget the oldest bar that has ended; False if there is none."""
        oldest = next((bar.id for bar in self._bars.values() if bar.state is not BarState.OPEN), None)
        if oldest is None:
            return False
        del self._bars[oldest]
        return True

    def _note_use(self) -> float:
        now = self._clock()
        if not self.is_used:
            self.is_used = True
            self._began, self._told = now, now - LONGEST
        return now

    def _changed(self) -> None:
        now = self._note_use()
        self._is_changed = True
        if now - self._told >= self._period(now):
            self._tell_now()
        else:
            self._wake()

    def _wake(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._tell_later, name="funcx-progress", daemon=True)
            self._thread.start()
        self._is_due.set()

    def _period(self, now: float) -> float:
        return min(LONGEST, max(SHORTEST, _PART * (now - self._began)))

    def _tell_later(self) -> None:
        while True:
            if not self._sources:
                self._is_due.wait()
            self._is_due.clear()
            time.sleep(max(0.0, self._told + self._period(self._clock()) - self._clock()))
            for source in self._sources[:]:
                source()
            with self._lock:
                if not self._is_changed:
                    continue
                now = self._clock()
                if now - self._told >= self._period(now):
                    self._tell_now()
                else:  # Somebody else has just told it, and more has changed since.
                    self._is_due.set()

    def _tell_now(self) -> None:
        self._told = self._clock()
        self._tell(self._now())
        self._is_changed = False  # Not before: an interrupt may have come in between.

    def _now(self) -> Progress:
        bars = list(self._bars.values())
        shown = [_cut(bar) for bar in bars[:MOST_BARS]]
        more = self._more + len(bars) - len(shown)
        if self._whole is not None:
            what, n, total = self._whole
            return Progress(n=n, total=total, id=what, call=self._call, bars=shown, more=more)
        if not shown:
            return Progress(call=self._call, more=more)
        first = next((bar for bar in shown if bar.state is BarState.OPEN), shown[-1])
        return Progress(
            n=first.n,
            total=first.total,
            description=first.description,
            call=self._call,
            bars=shown,
            more=more,
        )


def _cut(bar: Bar) -> Bar:
    if len(bar.description) <= LONGEST_TEXT and len(bar.postfix) <= LONGEST_TEXT:
        return bar
    # A field by a field: what is too long is rare.
    return Bar(
        id=bar.id,
        n=bar.n,
        total=bar.total,
        description=bar.description[:LONGEST_TEXT],
        unit=bar.unit[:LONGEST_TEXT],
        scale=bar.scale,
        elapsed=bar.elapsed,
        rate=bar.rate,
        postfix=bar.postfix[:LONGEST_TEXT],
        state=bar.state,
    )
