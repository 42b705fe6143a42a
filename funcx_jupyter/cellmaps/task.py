"""A handle on a cell's map: to wait for, await, ask, stop and run again what failed."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, Final, NoReturn

import msgspec

from funcx_core.errors import DependencyError, EndpointOffline, ServiceUnavailable
from funcx_core.ids import TaskId
from funcx_core.protocol.task import TaskState
from funcx_core.sdk.grids.grid import GridProgress
from funcx_jupyter.cellmaps.failure import CellMapFailed, CellMapInterrupted, in_words, with_traceback
from funcx_jupyter.cellmaps.grid import CellGrid
from funcx_jupyter.cellmaps.output import PRINTED, labelled
from funcx_jupyter.cellmaps.view import MapView, state_of
from funcx_jupyter.cellmaps.waiting import WaitingMap
from funcx_jupyter.display import words
from funcx_jupyter.errors import CellInterrupted, NotAValue, shown_in_one_line
from funcx_jupyter.session.asynchronous import BackgroundScreen
from funcx_jupyter.session.followed import Followed
from funcx_jupyter.session.outcome import Finished
from funcx_jupyter.session.patience import Patience
from funcx_jupyter.session.presentable import presentable

if TYPE_CHECKING:
    from funcx_jupyter.session.endpoints import Endpoint
    from funcx_jupyter.session.state import Session

LOOK: Final = 0.25
"""Seconds after which is shown what makes no news: the time, and which elements run."""
PATIENCE: Final = 15.0
"""Seconds to wait for the end of elements that were told to stop."""
_UNREACHABLE: Final = "service_unavailable"


class CellMapTask:
    """A cell that runs once for each element, on an endpoint. It goes on whatever becomes of this object.

    >>> runs.progress()
    200 points: 120 succeeded, 3 failed, 16 running, 61 waiting
    >>> values = runs.result()      # waits; assigns the variables named with -o; raises CellMapFailed if some failed
    >>> runs.results                # what there is by now, None where there is nothing yet
    >>> runs.failed                 # [(element, exception), ...]
    >>> runs.retry()                # run again what failed

    Attributes:
        task_id: the id of the map.
        name: what it is called in this notebook; empty if it has no name.
        endpoint: the name of where it runs.
        outputs: the variables that come back, as lists.
    """

    def __init__(  # noqa: PLR0917 - all of them are what a map has
        self,
        session: Session,
        grid: CellGrid,
        task: Followed,
        name: str,
        namespace: dict[str, Any],
        screen: BackgroundScreen,
        view: MapView,
    ) -> None:
        self.task_id: TaskId = task.task_id
        self.name = name
        self.endpoint = task.endpoint
        self.outputs = list(grid.outputs)
        self.grid = grid
        self.again: Callable[[BackgroundScreen, Endpoint | None], CellMapTask] | None = None
        self.is_async = False
        self._session = session
        self._task = task
        self._namespace = namespace
        self._screen = screen
        self._view = view
        self._shown = threading.Event()

    # --- how it is ---------------------------------------------------------------------------------------------

    @property
    def state(self) -> TaskState:
        """How it is now, as far as is known here."""
        return state_of(self.grid.counts())

    def progress(self) -> GridProgress:
        """Return how many elements are in which state."""
        return self.grid.progress()

    def done(self) -> bool:
        """Whether all elements have ended."""
        return not self.grid.collect()

    def unfinished(self) -> list[TaskId]:
        """Return the tasks that run its elements, or will."""
        return self.grid.unfinished()

    def running(self) -> bool:
        """Whether some run, or have run, and others are to come."""
        return self.state is TaskState.RUNNING

    def cancelled(self) -> bool:
        """Whether it was stopped before it ended by itself."""
        return self.state is TaskState.CANCELLED

    @property
    def results(self) -> list[Any] | None:
        """The values there are by now, None at the places of elements that have none."""
        self.grid.collect()
        return self.grid.values()

    @property
    def failed(self) -> list[tuple[Any, BaseException]]:
        """The elements that have ended without a value by now, each with its exception."""
        return self.grid.failed()

    # --- what it gave back ---------------------------------------------------------------------------------------

    def result(self, timeout: float | None = None) -> Any:
        """Return the values of the cell's last expression in order, and assign the lists named with -o, when all have ended.

        Raises:
            CellMapFailed: some elements failed. Nothing is assigned.
            TimeoutError: they have not ended after `timeout` seconds. They go on.
        """
        return self.finished(timeout).value

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Return what `result` would raise, None if all have succeeded. Raises `TimeoutError` as `result` does."""
        deadline = math.inf if timeout is None else time.monotonic() + timeout
        while self._is_awaited(deadline - time.monotonic()):
            if time.monotonic() >= deadline:
                raise TimeoutError(f"{self!r} has not ended after {timeout:g} s.")
        without = self.grid.without_value()
        return self._failure(without) if without else None

    def finished(self, timeout: float | None = None) -> Finished:
        """Return all that the cell gave back; its outputs are assigned. Raises as `result` does."""
        error = self.exception(timeout)
        if error is not None:
            raise error from error.__cause__
        outputs = self.grid.collected()
        found = Finished(
            outputs, dict(zip(self.outputs, self.grid.sizes(), strict=True)), None, self.grid.values(), is_plain=True
        )
        self._namespace.update(outputs)
        return found

    def _failure(self, without: list[int]) -> BaseException:
        lines, short = [self.grid.line_of(number) for number in without], words.short_id(self.task_id)
        found = self.grid.outcome(without[0]).failed
        assert found is not None  # noqa: S101 - it has no value, so there is a reason
        if found.code == _UNREACHABLE:
            return shown_in_one_line(
                ServiceUnavailable(f"The service cannot be reached. The map goes on; `%funcx attach {short}` shows it.")
            )
        first = presentable(found.exception(), self._task, self._screen)
        if isinstance(first, EndpointOffline | DependencyError):
            return first
        has_output = any(self.grid.shown_by(number) for number in without)
        message = in_words(len(self.grid), lines, self.grid.name_of(without[0]), short, has_output=has_output)
        failure = with_traceback(CellMapFailed(message, task_id=self.task_id, outcomes=self.grid), first)
        failure.__cause__ = first
        return failure

    def __await__(self) -> Generator[Any, None, Any]:
        return self._awaited().__await__()

    async def _awaited(self) -> Any:
        import asyncio  # noqa: PLC0415 - whoever awaits has it

        await asyncio.to_thread(self.exception)
        return self.result()

    # --- what to do about it -----------------------------------------------------------------------------------

    def cancel(self) -> bool:
        """Ask for the end of what waits or runs; False if all has ended. What is complete stays."""
        if self.done():
            return False
        self.grid.cancel()
        return True

    def retry(self) -> int:
        """Run again the elements that have no value; return how many those are."""
        self._shown.clear()
        return self.grid.retry()

    def logs(self) -> str:
        """Return what the elements that have ended printed, each line under the name of its element."""
        self.grid.collect()
        return "".join(
            labelled(self.grid.name_of(number), piece.body.decode(errors="replace"))
            for number in range(len(self.grid))
            for piece in self.grid.shown_by(number)
            if piece.kind in PRINTED
        )

    # --- for those who show it -----------------------------------------------------------------------------------

    def wait_at_most(self, seconds: float) -> None:
        """Stop it if it still waits for its endpoint after this time."""
        patience = Patience(WaitingMap(self, self._session.connection.task), self.task_id, seconds, time.monotonic)
        self._task = msgspec.structs.replace(self._task, patience=patience)

    def follow(self) -> Finished:
        """Show the map to its end, in the main thread; return what it gave back, and raise, as `finished` does.

        Raises:
            CellMapInterrupted: the user stopped it.
        """
        self._view.open()
        try:
            while self._is_awaited():
                self.update()
        except KeyboardInterrupt:
            self._stop()
        self._end()
        return self.finished()

    def move_to(self, screen: BackgroundScreen) -> None:
        """Show it there from now on."""
        self._screen = screen
        header = msgspec.structs.replace(self._view.header, elapsed=self._view.elapsed, state=self.state, note="")
        self._view = MapView(self.grid, screen, header)

    def follow_in_background(self) -> None:
        """Show the map while other cells run."""
        self.is_async = True
        self._view.prints = False
        self._view.open()
        self.grid.watch(_Background(self))

    def show_ended(self) -> None:
        """Show the last news. Called by whatever thread has shown those before."""
        self._end()

    def update(self) -> None:
        """Show what is new."""
        if self._task.patience is not None:
            self._task.patience.look()
        self._view.update(is_final=False)

    def wait_until_shown(self) -> None:
        """Wait for the end, and until all of it is on the screen."""
        try:
            self.exception()
        except KeyboardInterrupt:
            short = words.short_id(self.task_id)
            raise CellInterrupted(
                f"Stopped waiting. Map {short} goes on; `%funcx cancel {short}` stops it.", self.task_id
            ) from None
        self._shown.wait(PATIENCE)
        if self._screen.is_live:
            self._screen.confirm()

    def show_again(self) -> None:
        """Show the header line here, too, where it can be changed in place."""
        self._screen.show_again()

    def _is_awaited(self, longest: float = math.inf) -> bool:
        """Take in what has come, then wait for more, but not for long; return False if nothing is to come."""
        heard = self.grid.news.count()
        if not self.grid.collect():
            return False
        self.grid.news.await_more(heard, max(0.0, min(longest, LOOK)))
        return True

    def _stop(self) -> None:
        short = words.short_id(self.task_id)
        if self._task.detaches:
            self._detach()
        key = self._screen.stop_key
        self._view.stopping = f"Cancelling {short} on {self.endpoint} (press {key} again to detach)"
        deadline = time.monotonic() + PATIENCE
        try:
            self.grid.cancel()
            while self._is_awaited() and time.monotonic() < deadline:
                self._view.update(is_final=False)
        except KeyboardInterrupt:
            self._detach()
        self._end()
        again = f"`%funcx result {short}` has their values; `%funcx rerun {short} --failed` runs the others."
        raise CellMapInterrupted(f"Interrupted. {self._counted()} {again}", self.task_id, self.grid) from None

    def _detach(self) -> NoReturn:
        self._view.leave()
        raise CellMapInterrupted(
            f"Detached. {self._counted()} The map goes on; `%funcx attach {words.short_id(self.task_id)}` shows it.",
            self.task_id,
            self.grid,
        ) from None

    def _counted(self) -> str:
        counts = self.grid.progress()
        return f"{counts.succeeded:,} of {counts.size:,} elements are done, and kept."

    def _end(self) -> None:
        self._view.stopping = ""
        self._view.update(is_final=True)
        state = self.state
        if state.is_terminal:
            is_shown = self._screen.is_live or self._view.prints
            self._session.ended(self.task_id, state, self._view.elapsed, is_shown=is_shown)
        self._shown.set()

    def __repr__(self) -> str:
        called = f"{self.name}, " if self.name else ""
        counts = self.grid.progress()
        told = f"{counts.succeeded:,} of {counts.size:,} done" + (
            f", {counts.failed:,} failed" if counts.failed else ""
        )
        state = words.STATES[self.state]
        return f"Map({called}{self.grid.variable}: {told}, {state} on {self.endpoint}, {words.short_id(self.task_id)})"

    def _ipython_display_(self) -> None:
        """Show the map's header line, which changes in place with it."""
        if self._screen.is_live:
            self._screen.show_again()
        else:
            print(repr(self))  # noqa: T201 - where nothing can be changed in place, the text is all there is

    def __reduce__(self) -> NoReturn:
        called = self.name or words.short_id(self.task_id)
        how = f"`{self.name}.result()`" if self.name else f"`%funcx result {called}`"
        raise NotAValue(f"{called} is a map, not its values. {how} are the values.")


class _Background:
    """A view that the grid's own thread keeps up to date."""

    def __init__(self, task: CellMapTask) -> None:
        self._task = task

    def update(self, *, is_final: bool) -> None:
        """Show what is new."""
        if is_final:
            self._task.show_ended()
        else:
            self._task.update()
