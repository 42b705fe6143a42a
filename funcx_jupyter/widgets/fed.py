"""What widgets have in common that are told news by the feed."""

from __future__ import annotations

import asyncio
from typing import Any

from funcx_core.errors import FuncxError
from funcx_core.ids import TaskId
from funcx_jupyter.session.state import Session, TaskRecord
from funcx_jupyter.widgets.feed import States, feed_of
from funcx_jupyter.widgets.poller import running_loop
from funcx_jupyter.widgets.service import Service
from funcx_jupyter.widgets.shown import Shown


class Fed(Shown):
    """A widget, as a `Reader` of the feed. Subclasses say what they ask for and what they do with the answer.

    Args:
        service: what is asked.
        follows: the notebook whose new tasks are shown as they come, if they are.
    """

    def __init__(self, service: Service, follows: Session | None = None) -> None:
        super().__init__()
        self._service = service
        self._feed = feed_of(service)
        self._follows = follows
        self._loop: asyncio.AbstractEventLoop | None = None
        self._soon: asyncio.TimerHandle | None = None

    # --- what subclasses say -----------------------------------------------------------------------------------

    def open_ids(self) -> list[TaskId]:
        """Return the tasks that it waits for."""
        raise NotImplementedError

    def find_more(self) -> list[TaskId]:
        """Ask for tasks that it waits for, too."""
        return []

    def look(self, states: States) -> Any:
        """Ask for whatever else it needs, and return an answer for `tell`."""
        raise NotImplementedError

    def knows_all(self) -> bool:
        """Whether it has taken in what it was told."""
        return True

    def tell(self, answer: Any) -> bool:
        """Take the answer; return whether something changed."""
        raise NotImplementedError

    def fail(self, error: FuncxError) -> None:
        """There was no answer."""
        raise NotImplementedError

    def goes_on(self) -> bool:
        """Whether to ask again."""
        raise NotImplementedError

    def _take_notebook_tasks(self, session: Session) -> None:
        """Watch what the notebook has sent."""

    # --- what users do -----------------------------------------------------------------------------------------

    @property
    def is_polling(self) -> bool:
        """Whether it asks the service now and then."""
        return self._feed.serves(self)

    def refresh(self) -> None:
        """Ask the service once, here and now."""
        self._look_around()
        self._feed.once(self)

    def refresh_soon(self) -> None:
        """Ask the service as soon as the kernel has a moment, and go on asking."""
        self._look_around()
        self._feed.serve(self)

    # --- its life ----------------------------------------------------------------------------------------------

    def _start(self) -> None:
        self._loop = running_loop()
        if self._follows is not None:
            self._follows.listeners.add(self._on_new_task)
        self.refresh_soon()

    def _stop(self) -> None:
        if self._follows is not None:
            self._follows.listeners.discard(self._on_new_task)
        if self._soon is not None:
            self._soon.cancel()
            self._soon = None
        self._feed.leave(self)

    def _on_new_task(self, _: TaskRecord) -> None:
        # A cell may have been run by another thread than that of the loop.
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._expect)

    def _expect(self) -> None:
        # A loop of cells sends many tasks: they are asked for together, and the kernel has time for the loop.
        is_told = self._follows is not None and self._on_new_task in self._follows.listeners
        if is_told and self._soon is None and self._loop is not None:
            self._soon = self._loop.call_later(self._feed.rest, self._arrived)

    def _arrived(self) -> None:
        self._soon = None
        self.refresh_soon()

    def _look_around(self) -> None:
        if self._follows is not None:
            self._take_notebook_tasks(self._follows)
