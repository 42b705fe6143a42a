"""Watches a grid while somebody looks at it or points are to be run again: one daemon thread for each grid."""

from __future__ import annotations

import logging
import math
import threading
import time
from typing import Final, Protocol

from funcx_core.errors import TryAgainLater

TELL_SECONDS: Final = 0.5
"""Views are told of news at most this often."""
_AGAIN_SECONDS: Final = 2.0
_LOOK_SECONDS: Final = 1.0
"""How long it sleeps without news: that a task has started is none."""
_COST_FACTOR: Final = 5.0
"""Views of a large grid that take long to draw are drawn more rarely: the rest of the time is the user's."""
_GATHER_SECONDS: Final = 0.02
"""News of many tasks that end together are looked at together."""
logger = logging.getLogger("funcx")


class View(Protocol):
    """Shows how a grid goes. Called on the keeper's thread."""

    def update(self, *, is_final: bool) -> None:
        """There is something new; nothing more will come if it is final."""


class Watched(Protocol):
    """What the keeper needs of a grid."""

    def collect(self) -> bool:
        """Take in what has come; returns whether something is still to come."""

    def run_again(self) -> bool:
        """Run failed points again if that was asked for; returns whether some do."""


class Keeper:
    """Runs while something is to come. `news` wakes it up.

    Attributes:
        views: who is told.
    """

    def __init__(self, grid: Watched) -> None:
        self.views: list[View] = []
        self._grid = grid
        self._news = threading.Event()
        self._lock = threading.Lock()
        self._idle = threading.Condition(self._lock)
        self._is_running = False
        self._untold = True
        self._error: BaseException | None = None

    def news(self) -> None:
        """Something has come."""
        self._news.set()

    def start(self) -> None:
        """Watch from now on, unless it does."""
        with self._lock:
            if self._is_running:
                self._news.set()
                return
            self._is_running = self._untold = True
            self._error = None
        threading.Thread(target=self._run, name="funcx grid", daemon=True).start()

    def show(self, view: View) -> None:
        """Tell this one, too."""
        with self._lock:
            self.views.append(view)
            self._untold = True
        self.start()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until nothing is to come and all views show that. False if it is not so after `timeout` seconds.

        Raises:
            FuncxError: the keeper could not go on for this reason.
        """
        self.start()
        with self._idle:
            is_idle = self._idle.wait_for(lambda: not self._is_running, timeout)
            if self._error is not None:
                raise self._error
        return is_idle

    def _run(self) -> None:
        error: BaseException | None = None
        next_at = -math.inf
        try:
            while self._go_on():
                now = time.monotonic()
                if now >= next_at:
                    self._tell(is_final=False)
                    took = time.monotonic() - now
                    next_at = now + max(TELL_SECONDS, _COST_FACTOR * took)
                self._news.wait(_LOOK_SECONDS)
                time.sleep(_GATHER_SECONDS)
        except BaseException as caught:  # noqa: BLE001 - whoever waits gets it
            error = caught
        while not self._is_over(error):
            self._tell(is_final=True)

    def _is_over(self, error: BaseException | None) -> bool:
        """End, unless a view came meanwhile: it has to hear that nothing more comes."""
        with self._idle:
            if self._untold:
                return False
            self.views.clear()
            self._is_running, self._error = False, error
            self._idle.notify_all()
            return True

    def _go_on(self) -> bool:
        self._news.clear()
        if self._grid.collect():
            return True
        while True:
            try:
                return self._grid.run_again()
            except TryAgainLater as error:
                time.sleep(error.retry_after or _AGAIN_SECONDS)

    def _tell(self, *, is_final: bool) -> None:
        with self._lock:
            views = list(self.views)
            self._untold = self._untold and not is_final
        for view in views:
            try:
                view.update(is_final=is_final)
            except Exception:  # who cannot show it must not stop the others
                logger.warning("The grid goes on, but cannot be shown here any more.", exc_info=True)
                with self._lock:
                    self.views.remove(view)
