"""What sending a cell and sending it for each element of something have in common: everything about the cell itself."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import msgspec

from funcx_core.cells.spec import CellSpec
from funcx_core.ids import TaskId
from funcx_core.protocol.codec import encode
from funcx_core.protocol.features import STAGED_INPUTS, STAGED_RANGES, does_without
from funcx_core.protocol.task import TaskOptions
from funcx_jupyter.capture.elsewhere import RemoteUse
from funcx_jupyter.capture.streams import Part
from funcx_jupyter.display import words
from funcx_jupyter.display.header import Header
from funcx_jupyter.options.cell import CellOptions
from funcx_jupyter.session.asynchronous import BackgroundScreen
from funcx_jupyter.session.endpoints import Endpoint
from funcx_jupyter.session.journal import Submission
from funcx_jupyter.session.prepare import PreparedCell, check_size, with_pieces_inside
from funcx_jupyter.session.recall import CellPlace
from funcx_jupyter.session.staging_line import StagingLine
from funcx_jupyter.session.state import Session
from funcx_jupyter.session.upstream import upstream_of

_KERNEL_FOLDER: Final = re.compile(rb"ipykernel_\d+")
"""Code knows its cell by a file name with the number of the kernel's process; after a restart that is another."""
_TITLE: Final = 200
GRACE: Final = 5.0
"""Seconds between SIGINT, SIGTERM and SIGKILL of a cell that is told to stop: time to save what it has."""


class Sending:
    """A prepared cell on its way to an endpoint.

    Args:
        session: of the kernel.
        endpoint: where to.
        prepared: the cell.
        options: what its user asked for.
    """

    def __init__(self, session: Session, endpoint: Endpoint, prepared: PreparedCell, options: CellOptions) -> None:
        self.session = session
        self.endpoint = endpoint
        self.prepared = prepared
        self.options = options

    def described(self, place: CellPlace, task_id: TaskId, content: str, **more: Any) -> Submission:
        """Return what the notebook's journal is told. `content`: a hash of what is sent. `more`: further fields of it."""
        spec, connection = self.prepared.spec, self.session.connection
        return Submission(
            task_id=task_id,
            group_id=connection.group_id,
            endpoint_id=self.endpoint.endpoint_id,
            endpoint=self.endpoint.name,
            service=connection.address,
            at=time.time(),
            title=words.title(spec.source, spec.text)[:_TITLE],
            cell_id=place.cell_id,
            run_id=place.run_id,
            content=content,
            outputs=spec.outputs,
            refs=spec.keep,
            name=self.options.name,
            is_async=self.options.is_async,
            filename=spec.filename,
            **more,
        )

    def content(self) -> str:
        """Return a hash of the cell and where it goes."""
        return content_hash(self.prepared.spec, self.endpoint.endpoint_id, self.prepared.captured.packed.parts)

    def staged(self, header: Header, stage: StagingLine, limit: int) -> tuple[CellSpec, frozenset[str]]:
        """Return the cell with its large inputs in the store, and which of these were there before.

        Args:
            header: what the header line says meanwhile.
            stage: shows it.
            limit: bytes that the cell may have without what is in the store.

        Raises:
            LargeInputError: it is too large, or takes too long.
            CellInterrupted: the user stopped it.
        """
        connection, spec, captured = self.session.connection, self.prepared.spec, self.prepared.captured
        limits = connection.limits()
        takes_none = self._why_endpoint_takes_none(STAGED_RANGES if self.options.map else STAGED_INPUTS)
        if not captured.packed.parts or not limits.max_blob or takes_none:
            spec = with_pieces_inside(spec, captured)
            check_size(spec, captured, limit, takes_none)
            return spec, frozenset()
        try:
            staged = self.session.staging.stage(
                connection.store,
                captured,
                limits,
                endpoint=self.endpoint.name,
                seconds=self.options.stage,
                tell=lambda note: stage.show(msgspec.structs.replace(header, note=note)),
            )
        except BaseException:
            stage.end(msgspec.structs.replace(header, note="not sent"))
            raise
        check_size(spec, captured, limit)
        return msgspec.structs.replace(spec, blobs=staged.blobs), staged.cached

    def _why_endpoint_takes_none(self, feature: str) -> str:
        """Return why the endpoint takes no inputs from the store; nothing if it does."""
        endpoint = self.endpoint
        return does_without(endpoint.name, endpoint.version, feature, endpoint.features)

    def task_options(self, place: CellPlace, *, walltime: float | None, after: tuple[TaskId, ...]) -> TaskOptions:
        """Return the options of the task, or of each task of the map."""
        asked = self.options
        return TaskOptions(
            walltime=walltime,
            retry_on_loss=asked.retries,
            container_id=asked.container,
            interrupt_grace=GRACE,
            tags=place.tags(),
            priority=asked.priority,
            resources=asked.resources,
            after=after,
        )

    def upstream(self, also: Sequence[RemoteUse] = ()) -> tuple[TaskId, ...]:
        """Return the tasks that have to succeed first. `also`: values on endpoints beside those that the cell captured."""
        return upstream_of(self.session, self.options.after, [*self.prepared.captured.remote, *also])


def put_up(screen: BackgroundScreen, header: Header, *, first: bool) -> None:
    """Show the header line of what is staged, where it can be changed later."""
    if screen.is_live:
        (screen.open if first else screen.header)(header)


def demands(options: CellOptions) -> str:
    """Return in words what a cell asks of the Python that runs it."""
    asked = [f"container {words.short_id(options.container)}"] if options.container else []
    return " · ".join([*asked, *(f"requires {requirement}" for requirement in options.requires)])


def code_hash(source: str) -> str:
    """Return a hash by which the same code is known again."""
    return hashlib.sha256(source.encode(errors="surrogatepass")).hexdigest()[:16]


def content_hash(spec: CellSpec, endpoint_id: str, parts: Mapping[str, Part] = MappingProxyType({})) -> str:
    """Return a hash of what is sent, which is the same after a restart of the kernel as long as nothing has changed.

    Whether somebody waits for the cell does not count: `-a` only says what becomes of the value of its last expression.

    Args:
        spec: what is sent.
        endpoint_id: where.
        parts: what is sent beside it, see `Packed`.
    """
    encoded = encode(msgspec.structs.replace(spec, filename="", text="", places={}, blobs=[], keep_value=False))
    for name, part in parts.items():
        pickles = part.blocks[0]
        if isinstance(pickles, bytes) and (plain := _without_kernel(pickles)) != pickles:
            encoded = encoded.replace(name.encode(), hashlib.sha256(plain).hexdigest().encode())
    return hashlib.sha256(endpoint_id.encode() + _without_kernel(encoded)).hexdigest()


def _without_kernel(content: bytes) -> bytes:
    return _KERNEL_FOLDER.sub(b"", content) if b"ipykernel_" in content else content
