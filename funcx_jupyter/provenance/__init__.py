"""What a notebook remembers of the cells that it sent, for records of provenance."""

from __future__ import annotations

from pathlib import Path

from funcx_core.cells.spec import CellSpec, Stream
from funcx_core.ids import TaskId
from funcx_core.sdk.provenance.gather import KnownHere
from funcx_core.sdk.provenance.pickles import counted, pieces
from funcx_core.sdk.provenance.record import Piece, sha256
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
        inputs=_inputs(spec),
        outputs=tuple(spec.outputs),
        folder=folder,
    )


def _inputs(spec: CellSpec) -> list[Piece]:
    sizes = {blob.sha256: blob.size for blob in spec.blobs}
    found = pieces(spec.names, spec.values)
    for stream in spec.streams:
        found += _of_stream(stream, sizes)
    return found


def _of_stream(stream: Stream, sizes: dict[str, int]) -> list[Piece]:
    """Return what the variables of a stream hold: the hash of one with large parts is that of the hashes of its parts."""
    parts = [part.sha256 or sha256(part.content) for part in stream.pieces]
    if stream.pickles.sha256:  # It is not here to be divided.
        size = sizes.get(stream.pickles.sha256, 0) + sum(place.size for place in stream.buffers)
        return [Piece(name=", ".join(stream.names), sha256=_joint([stream.pickles.sha256, *parts]), size=size)]
    found, places = [], iter(stream.buffers)
    for piece, buffers in counted(stream.names, stream.pickles.content):
        own = [next(places) for _ in range(buffers)]
        used = [f"{parts[place.piece]}:{place.start}:{place.size}" for place in own]
        size = piece.size + sum(place.size for place in own)
        found.append(Piece(name=piece.name, sha256=_joint([piece.sha256, *used]), size=size))
    return found


def _joint(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else sha256("\n".join(parts))
