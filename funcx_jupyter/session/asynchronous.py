"""Tasks that are shown while other cells run."""

from __future__ import annotations

import threading
from functools import partial
from typing import Any, Protocol

from funcx_jupyter.display.header import Header
from funcx_jupyter.session.background import LiveScreen, LiveTask
from funcx_jupyter.session.cell_task import CellTask
from funcx_jupyter.session.followed import Watched
from funcx_jupyter.session.following import Screen
from funcx_jupyter.session.opening import bind_refs
from funcx_jupyter.session.state import Session


class BackgroundScreen(LiveScreen, Screen, Protocol):
    """The output of an asynchronous cell: see `funcx_jupyter.screens`."""

    @property
    def is_live(self) -> bool:
        """Whether it can be changed after its cell. A terminal cannot, nor can what `%%capture` took."""

    @property
    def stop_key(self) -> str:
        """What the user presses to stop the cell."""

    def open(self, header: Header) -> None:
        """Show what is to be changed later. To be called by the main thread, once."""

    def show_again(self) -> None:
        """Show the header line in another place, too."""

    def confirm(self) -> None:
        """Show once more what is there, from the running cell."""

    def conclude(self, header: Header, text: str) -> None:
        """Show all at the end, where nothing could be changed in place."""


def show_in_background(
    session: Session, watched: Watched, screen: BackgroundScreen, namespace: dict[str, Any], name: str
) -> CellTask:
    """Return a handle on a task, and keep what is shown of it up to date until it has ended."""
    task, shown = watched.task, threading.Event()
    show = screen.show_again if screen.is_live else None
    confirm = screen.confirm if screen.is_live else None
    handle = CellTask(session, task, watched.future, namespace, screen, name, show, shown, confirm)
    session.asynchronous[task.task_id] = handle
    bind_refs(session, task, task.refs, namespace)
    if screen.is_live:
        (screen.header if watched.is_shown else screen.open)(watched.header)
    # Where nothing can be changed later it is watched all the same: it may have waited for its endpoint for too long.
    on_end = partial(session.ended, task.task_id, is_shown=screen.is_live)
    on_lost = partial(session.lost, task.task_id)
    live = LiveTask(watched, screen, on_end, shown, on_lost=on_lost, outage=session.connection.outage)
    watched.future.add_done_callback(watched.mailbox.on_end)
    session.background.show(live)
    return handle
