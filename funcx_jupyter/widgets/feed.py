"""One feed of news for all widgets of a kernel: at each tick all of them are served, by one request for all their tasks.

Theory of operation. A widget that is in sight has a seat. At a tick the loop asks each seat for the tasks that it waits for; a thread
asks the service for all of them together, then lets each seat ask what else it needs; and the loop tells each seat what was found. A
seat that waits for nothing more is given up, and with the last one the ticks end. How often there is a tick depends on whether
something has changed for any of them, see `cadence`.

While the service does not answer, all are told so, and the ticks become rare. A seat whose own questions fail, while others have
answers, waits longer and longer by itself.
"""

from __future__ import annotations

import asyncio
import logging
import time
import weakref
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, Protocol, TypeVar

from funcx_core.errors import FuncxError, RemoteProtocolError
from funcx_core.ids import TaskId
from funcx_jupyter.widgets.cadence import LONGEST, QUICK
from funcx_jupyter.widgets.poller import Poller
from funcx_jupyter.widgets.service import Service

States = dict[str, dict[str, Any]]
T = TypeVar("T")

logger = logging.getLogger("funcx")


class Reader(Protocol):
    """What a widget is to the feed. `find_more` and `look` are called in a thread, the others on the loop."""

    def open_ids(self) -> Sequence[TaskId]:
        """Return the tasks that it waits for."""

    def find_more(self) -> list[TaskId]:
        """Ask for tasks that it waits for, too. May raise `FuncxError`, as `look` may."""

    def look(self, states: States) -> Any:
        """Ask for whatever else it needs, and return an answer for `tell`.

        Args:
            states: what the service tells of its tasks, as far as that is not what it told the last time.
        """

    def knows_all(self) -> bool:
        """Whether it has taken in what it was told; if not, it is told everything again."""

    def tell(self, answer: Any) -> bool:
        """Take the answer; return whether something changed."""

    def fail(self, error: FuncxError) -> None:
        """There was no answer."""

    def goes_on(self) -> bool:
        """Whether to ask again; looked at after each answer."""


class _Seat:
    """A reader that is served, and what it asks for at this tick."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.failures = 0
        self.again_at = 0.0
        self.wanted: list[TaskId] = []
        self.heard: States = {}
        self.answer: Any = None
        self.error: FuncxError | None = None

    def news(self, states: States) -> States:
        """Return what the reader has not heard, of the tasks that it waits for.

        Of a task that the service does not know yet that is always news: who waits for it counts how often that happens.
        """
        heard = self.heard if self.reader.knows_all() else {}
        return {
            task_id: told
            for task_id in self.wanted
            if (told := states.get(task_id)) is not None
            and ("reason" in told or ((before := heard.get(task_id)) is not told and before != told))
        }

    def trying(self, ask: Callable[[], T]) -> T | None:
        """Return the answer to a question of the reader, or None; then `error` says why."""
        try:
            return ask()
        except FuncxError as error:
            self.error = error
        except Exception as error:
            logger.exception("What the service tells cannot be shown.")
            text = f"What the service tells cannot be shown: {type(error).__name__}: {error}."
            self.error = RemoteProtocolError(text)
        return None


class Feed:
    """All methods are for the loop's thread."""

    def __init__(self, service: Service, clock: Callable[[], float] = time.monotonic) -> None:
        self._service = service
        self._clock = clock
        self._seats: dict[int, _Seat] = {}
        self._round: list[_Seat] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._poller: Poller[list[_Seat]] | None = None

    def serves(self, reader: Reader) -> bool:
        """Whether the reader is told now and then."""
        return id(reader) in self._seats and self._poller is not None and self._poller.is_running

    def serve(self, reader: Reader) -> None:
        """Tell the reader, and all others, as soon as possible, and as long as it goes on. Needs a running loop."""
        self._seats.setdefault(id(reader), _Seat(reader)).again_at = 0.0
        loop = asyncio.get_running_loop()
        if self._poller is None or self._loop is not loop:
            self._loop = loop
            self._poller = Poller(
                self._ask,
                prepare=self._begin,
                tell=self._tell,
                fail=self._fail,
                goes_on=self._goes_on,
                clock=self._clock,
            )
        self._poller.nudge()

    @property
    def rest(self) -> float:
        """Seconds within which news that nobody has asked for need not be told."""
        return 0.0 if self._poller is None else self._poller.cadence.rest

    def leave(self, reader: Reader) -> None:
        """Tell the reader no more."""
        self._seats.pop(id(reader), None)
        if not self._seats and self._poller is not None:
            self._poller.stop()

    def once(self, reader: Reader) -> None:
        """Tell the reader once, here and now: for where there is no loop."""
        seat = _Seat(reader)
        seat.wanted = list(reader.open_ids())
        try:
            self._ask_for([seat])
        except FuncxError as error:
            reader.fail(error)
        else:
            reader.tell(seat.answer)

    # --- one tick ----------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        now = self._clock()
        self._round = [seat for seat in self._seats.values() if seat.again_at <= now]
        for seat in self._round:
            seat.wanted = list(seat.reader.open_ids())

    def _ask(self) -> list[_Seat]:
        self._ask_for(self._round)
        return self._round

    def _ask_for(self, seats: Sequence[_Seat]) -> None:
        """Find answers. Called in a thread.

        Raises:
            FuncxError: nobody has one.
        """
        for seat in seats:
            seat.answer = seat.error = None
            seat.wanted = [*seat.wanted, *(seat.trying(seat.reader.find_more) or ())]
        able = [seat for seat in seats if seat.error is None]
        wanted = list(dict.fromkeys(task_id for seat in able for task_id in seat.wanted))
        states = self._service.states(wanted) if wanted else {}
        for seat in able:
            found = seat.news(states)
            seat.answer = seat.trying(partial(seat.reader.look, found))
            if seat.error is None:
                seat.heard = {task_id: states[task_id] for task_id in seat.wanted if task_id in states}
        errors = [seat.error for seat in seats if seat.error is not None]
        if errors and len(errors) == len(seats):
            raise errors[0]

    def _tell(self, seats: list[_Seat]) -> bool:
        changed = False
        for seat in filter(self._is_taken, seats):
            if seat.error is None:
                seat.failures = 0
                changed |= self._told(seat)
            else:
                self._put_off(seat, seat.error)
        return changed

    def _is_taken(self, seat: _Seat) -> bool:
        """Whether the reader has not left meanwhile."""
        return self._seats.get(id(seat.reader)) is seat

    def _told(self, seat: _Seat) -> bool:
        try:
            return seat.reader.tell(seat.answer)
        except Exception:
            logger.exception("A widget cannot show what is new, and is left as it is.")
            self.leave(seat.reader)
            return False

    def _put_off(self, seat: _Seat, error: FuncxError) -> None:
        seat.again_at = self._clock() + min(LONGEST, QUICK * 2.0**seat.failures)
        seat.failures += 1
        seat.reader.fail(error)

    def _fail(self, error: FuncxError) -> None:
        for seat in filter(self._is_taken, self._round):
            seat.reader.fail(seat.error or error)

    def _goes_on(self) -> bool:
        for seat in filter(self._is_taken, self._round):
            if not seat.reader.goes_on():
                del self._seats[id(seat.reader)]
        return bool(self._seats)


_feeds: Final[weakref.WeakKeyDictionary[Service, Feed]] = weakref.WeakKeyDictionary()


def feed_of(service: Service) -> Feed:
    """Return the feed that all widgets share which ask this service."""
    if (feed := _feeds.get(service)) is None:
        feed = _feeds[service] = Feed(weakref.proxy(service))  # Its widgets keep the service.
    return feed
