"""`Grid`: the calls of a parameter study, whose record is at the service, and what came out of them as a table.

>>> study = funcx.grid(simulate, {"x": [1, 2, 3], "seed": range(100)}, endpoint="theta", name="pilot")
>>> study.table()                   # a DataFrame, at any time
>>> study.wait()                    # with a progress bar
>>> study.retry()                   # run again what failed
>>> study = funcx.get_grid("pilot") # in another process, or tomorrow
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final

import msgspec

from funcx_core.errors import MissingPackage, TaskPending, TryAgainLater
from funcx_core.ids import TaskId
from funcx_core.sdk.futures import TaskListener
from funcx_core.sdk.grids import progress
from funcx_core.sdk.grids.ended import points_of, results_of
from funcx_core.sdk.grids.keeper import Keeper, View
from funcx_core.sdk.grids.news import News
from funcx_core.sdk.grids.outcomes import Outcome, Outcomes, PointState, Run
from funcx_core.sdk.grids.points import Points
from funcx_core.sdk.grids.record import GridRecord
from funcx_core.sdk.grids.rows import Layout, rows
from funcx_core.sdk.map_feed import Range
from funcx_core.sdk.maps import FuncXMap

_SETTLE_SECONDS: Final = 10.0


class GridProgress(msgspec.Struct, frozen=True, kw_only=True):
    """How many points are in which state."""

    size: int
    waiting: int = 0
    running: int = 0
    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0
    lost: int = 0

    @property
    def open(self) -> int:
        """How many are still to come."""
        return self.waiting + self.running

    def __str__(self) -> str:
        told = ", ".join(
            f"{count:,} {state}" for state in reversed(PointState) if (count := getattr(self, state.value))
        )
        return f"{self.size:,} points: {told}"


class Grid:
    """A parameter study. Its points are numbered from 0, in the order of nested loops.

    Attributes:
        points: the parameters at each point.
        endpoint: name of the endpoint.
        news: tells that a range has ended.
    """

    def __init__(self, calls: FuncXMap, record: GridRecord, endpoint: str) -> None:
        """Made by `funcx.grid` and `funcx.get_grid`."""
        self.points: Points = record.points
        self.endpoint = endpoint
        self._map = calls
        self._retries = record.retries
        self._rounds: int | None = None
        self._outcomes = Outcomes(len(record.points))
        self._known: dict[str, tuple[Range, int]] = {}
        self._open: dict[str, Range] = {}
        self._ended: deque[Range] = deque()
        self._lock = threading.RLock()
        self.news = News()
        self._keeper = Keeper(self)
        self._watched_since = time.monotonic()
        self._ended_before = 0

    @property
    def grid_id(self) -> str:
        """What the service knows it by."""
        return self._map.map_id

    @property
    def name(self) -> str:
        """What its maker called it."""
        return self._map.name

    def task_ids(self) -> list[str]:
        """Return the ids of the tasks that ran its points, run them or will."""
        return self._map.task_ids()

    def __len__(self) -> int:
        return len(self.points)

    # --- what came out -----------------------------------------------------------------------------------------

    def table(self) -> Any:
        """Return a pandas DataFrame with a row for each point: parameters, results, and what is known of the run.

        It can be asked for at any time; points that have not ended have no results yet.

        Raises:
            MissingPackage: pandas is not installed; `rows` gives the same as dicts.
        """
        try:
            import pandas as pd  # noqa: PLC0415 - optional, and slow to import
        except ModuleNotFoundError:
            raise MissingPackage("pandas", "table() gives a DataFrame.", "Or use rows(), which gives dicts.") from None
        layout, found = self._laid_out()
        frame = pd.DataFrame({name: [row[name] for row in found] for name in layout.columns}, columns=layout.columns)
        frame.index.name = "point"
        frame.attrs = {"grid_id": str(self.grid_id), "name": self.name}
        return frame

    def rows(self) -> list[dict[str, Any]]:
        """Return the table as a dict for each point."""
        return self._laid_out()[1]

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self.rows())

    def __getitem__(self, point: int) -> Any:
        """Return the result at a point, or raise its exception.

        Raises:
            IndexError: there is no such point.
            TaskPending: it has not ended.
        """
        _ = self.points[point]
        self.collect()
        outcome = self.outcome(point)
        if outcome.failed is not None:
            raise outcome.failed.exception()
        if outcome.state.is_open:
            raise TaskPending(outcome.state.value, task_id=self.grid_id)
        return outcome.value

    def outcome(self, point: int) -> Outcome:
        """Return what is known of a point, as of the last `collect`."""
        return self._outcomes[point]

    def failures(self) -> dict[int, BaseException]:
        """Return the exceptions of the points that have none of a result by now, by number."""
        self.collect()
        with self._lock:
            found = ((point, self.outcome(point).failed) for point in range(len(self)))
            return {point: failed.exception() for point, failed in found if failed is not None}

    # --- how it goes -------------------------------------------------------------------------------------------

    def progress(self) -> GridProgress:
        """Return how many points are in which state."""
        counts = self.counts()
        return GridProgress(size=len(self), **{state.value: count for state, count in counts.items()})

    def counts(self) -> Counter[PointState]:
        """Return the number of points by state."""
        self.collect()
        with self._lock:
            self._look_who_runs()
            return self._outcomes.counts()

    def line(self) -> str:
        """Return a progress bar of characters."""
        elapsed = time.monotonic() - self._watched_since
        return progress.line(self.name, self.counts(), elapsed=elapsed, before=self._ended_before)

    def wait(self, timeout: float | None = None, *, show: bool = True) -> bool:
        """Wait until no point is still to come, also those that run again; False if one is after `timeout` seconds.

        Args:
            timeout: seconds.
            show: a progress bar meanwhile: in the notebook, or on stderr if that is a terminal.
        """
        from funcx_core.sdk.grids.shown import progress_view  # noqa: PLC0415 - it looks for a notebook

        view = progress_view(self) if show else None
        if view is not None:
            self._keeper.show(view)
        return self._keeper.wait(timeout)

    def watch(self, view: View) -> None:
        """Have a view told of news, at most twice a second, until nothing is to come."""
        self._keeper.show(view)

    def plot(self, x: str, y: str, *, by: str | None = None) -> Any:
        """Return a plot of a column of the table that is drawn again while results come in.

        In a notebook it is a figure; the saved notebook keeps the last one. In a terminal it is a line of characters.

        Args:
            x: a column, usually a parameter.
            y: a column of numbers, usually a result.
            by: a column; each of its values has a colour.
        """
        from funcx_core.sdk.grids.shown import live_plot  # noqa: PLC0415 - needs matplotlib where there is a notebook

        return live_plot(self, x, y, by)

    # --- what to do about it -----------------------------------------------------------------------------------

    def retry(self) -> int:
        """Run again what failed, and what was cancelled or lost; return how many points that are."""
        return self.resume(failed=True)

    def resume(self, *, failed: bool = False) -> int:
        """Run again what was cancelled or lost; return how many points that are. What succeeded is left alone.

        Args:
            failed: also what failed.
        """
        if not self.counts().keys() & {PointState.WAITING, PointState.RUNNING}:
            self._map.wait(_SETTLE_SECONDS)  # Results come here before the service has them on disk.
        count = self._map.resume(failed=failed)
        self._watched_since, self._ended_before = time.monotonic(), len(self) - count
        self.collect()
        return count

    def cancel(self, *, force: bool = False) -> None:
        """Stop what waits or runs. What is complete stays.

        Args:
            force: kill the workers at once.
        """
        self._retries = 0
        self._map.cancel(force=force)

    def delete(self) -> None:
        """Delete the record with all results. What is open has to be cancelled first."""
        self._map.delete()

    def __repr__(self) -> str:
        name = f" '{self.name}'" if self.name else ""
        return f"<Grid{name} {self.grid_id} on {self.endpoint}: {self.progress()}>"

    # --- for its makers and its keeper ---------------------------------------------------------------------------

    def start(self, *, patience: float = 0.0) -> None:
        """Hear of what ends from now on. Wait for what had ended before, for so many seconds at most."""
        self._announce()
        self._map.follow(self._hear, self._listener())
        self.collect()
        if patience:
            self._catch_up(time.monotonic() + patience)
        self._ended_before = progress.ended(self._outcomes.counts())
        if self._retries:
            self._keeper.start()

    def collect(self) -> bool:
        """Take in what has come; returns whether something is still to come."""
        with self._lock:
            self._announce()
            with suppress(TryAgainLater):  # A large value cannot be fetched now.
                while self._ended:
                    self._take(self._ended[0])
                    self._ended.popleft()
            return bool(self._open)

    def run_again(self) -> bool:
        """Run failed points again if that was asked for; returns whether some do."""
        if not self._retries or not self._outcomes.counts()[PointState.FAILED]:
            return False
        if self._rounds is None:
            self._rounds = max(self.outcome(point).attempts for point in range(len(self))) - 1
        if self._rounds >= self._retries:
            return False
        self._map.wait(_SETTLE_SECONDS)
        self._rounds += 1
        again = self._map.resume(failed=True)
        self.collect()
        return bool(again)

    def taken(self, points: list[int]) -> None:
        """The outcomes of these points are known. Nothing to do here; it is for what builds on a grid."""

    def _listener(self) -> TaskListener | None:
        """Return who hears what ranges tell while they run; it is for what builds on a grid."""
        return None

    def _hear(self, one: Range) -> None:
        self._ended.append(one)
        self._keeper.news()
        self.news.tell()

    def _catch_up(self, deadline: float) -> None:
        there = self._map.progress()
        ended = there.done + there.cancelled + there.lost
        while (left := deadline - time.monotonic()) > 0:
            heard = self.news.count()
            self.collect()
            if progress.ended(self._outcomes.counts()) >= ended:
                return
            self.news.await_more(heard, left)

    def _announce(self) -> None:
        if len(self._known) == self._map.range_count:
            return
        turns: Counter[int] = Counter()
        for one in self._map.ranges():
            turn = turns[one.start]
            turns[one.start] += 1
            if one.task_id not in self._known:
                self._known[one.task_id] = one, turn
                self._open[one.task_id] = one
                self._outcomes.announce(points_of(one), turn)

    def _look_who_runs(self) -> None:
        for task_id, one in self._open.items():
            if one.future is not None and one.future.running():
                self._outcomes.started(points_of(one), self._known[task_id][1])

    def _take(self, ended: Range) -> None:
        if ended.task_id not in self._known:
            self._announce()
        one, turn = self._known[ended.task_id]
        if one.task_id not in self._open:
            return
        points = points_of(one)
        future = ended.future
        assert future is not None  # noqa: S101 - it is told of with the future that has ended
        results = results_of(ended, len(points))
        del self._open[one.task_id]
        run = Run(TaskId(ended.task_id), len(points), future.times)
        self._outcomes.ended(points, turn, results, run)
        self.taken(points)

    def _laid_out(self) -> tuple[Layout, list[dict[str, Any]]]:
        self.collect()
        with self._lock:
            self._look_who_runs()
            outcomes = (self.outcome(point) for point in range(len(self)))
            return rows(self.points.names, zip(self.points, outcomes, strict=True), self.endpoint)
