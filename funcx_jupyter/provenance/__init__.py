"""What a notebook remembers of the cells that it sent, for records of provenance."""

from __future__ import annotations

from pathlib import Path

from funcx_core.ids import TaskId
from funcx_core.sdk.provenance.gather import KnownHere
from funcx_core.sdk.provenance.pickles import pieces
from funcx_jupyter.session.state import Session
from funcx_jupyter.widgets.notebook import notebook_session


def known_here(task_id: str, session: Session | None = None) -> KnownHere | None:
    """Return what is remembered of a cell; None for any other task. Values are neither kept nor opened."""
    session = session or notebook_session()
    record = None if session is None else session.tasks.get(TaskId(task_id))
    if record is None:
        return None
    folder = str(Path.cwd())
    if record.sent is None:
        return KnownHere(title=record.cell, folder=folder)
    spec = record.sent.spec
    return KnownHere(
        source=spec.text or spec.source.lstrip("\n"),
        title=record.cell,
        inputs=pieces(spec.names, spec.values),
        outputs=tuple(spec.outputs),
        folder=folder,
    )
