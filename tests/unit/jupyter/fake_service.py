"""A `Connection` that runs cells in one child process: the worker's code, without a fabric around it."""

from __future__ import annotations

import hashlib
import signal
import sys
import threading
from collections.abc import Sequence
from subprocess import PIPE, Popen
from tempfile import TemporaryDirectory
from typing import Any

import msgspec

from funcx_core.cells.spec import CellSpec, Piece, Stream
from funcx_core.errors import BlobNotFound, FuncxError
from funcx_core.ids import BlobId, EndpointId, TaskId, new_group_id, new_task_id
from funcx_core.protocol.blob import BlobReference, BlobState
from funcx_core.protocol.client import Limits
from funcx_core.protocol.codec import encode
from funcx_core.protocol.environment import Environment
from funcx_core.protocol.task import TaskError, TaskEvent, TaskOptions, TaskResult, TaskState, event_seq
from funcx_core.protocol.worker import Output
from funcx_core.sdk.futures import FuncXFuture, TaskListener
from funcx_core.sdk.routes import Route
from funcx_core.sdk.transfer import Content, OnProgress, Progress
from funcx_core.sdk.trust import TrustingReader
from funcx_jupyter.errors import shown_in_one_line
from funcx_jupyter.session.connection import LogPage
from funcx_jupyter.session.endpoints import Endpoint
from tests.unit.jupyter import fake_worker

LOCAL = Endpoint(endpoint_id=EndpointId("e" * 36), name="local", is_online=True, hostname="here", python_version="3.11")


class FakeStore:
    """Keeps blobs in a dict. `chunk`: bytes of those that arrive at a time."""

    def __init__(self) -> None:
        self.blobs: dict[BlobId, bytes] = {}
        self.begun: dict[BlobId, int] = {}
        self.sent: list[BlobId] = []
        self.chunk = 1 << 20
        self.is_closed = False

    def announce(self, reference: BlobReference) -> BlobState:
        self.begun.setdefault(reference.blob_id, 0)
        return self.state(reference)

    def state(self, reference: BlobReference) -> BlobState:
        if reference.blob_id not in self.begun:
            raise BlobNotFound(reference.blob_id)
        chunks = -(-reference.size // self.chunk)
        return BlobState(
            blob_id=reference.blob_id,
            size=reference.size,
            sha256=reference.sha256,
            kind="argument",
            complete=reference.blob_id in self.blobs,
            chunk_bytes=self.chunk,
            chunks=chunks,
            received=list(range(self.begun[reference.blob_id])),
            created_at=0.0,
        )

    def send(
        self, reference: BlobReference, content: Content, state: BlobState, *, on_progress: OnProgress | None = None
    ) -> None:
        self.sent.append(reference.blob_id)
        for number in range(len(state.received), state.chunks):
            self.begun[reference.blob_id] = number + 1
            if on_progress is not None:
                done = min((number + 1) * self.chunk, reference.size)
                on_progress(Progress("up", reference.blob_id, done, reference.size))
        assert hashlib.sha256(content).hexdigest() == reference.sha256
        self.blobs[reference.blob_id] = bytes(content)

    def delete(self, reference: BlobReference) -> None:
        del self.begun[reference.blob_id]

    def close(self) -> None:
        self.is_closed = True

    def put_inside(self, spec: CellSpec) -> CellSpec:
        """Return the spec with the bytes that its pieces name, as whoever runs it sees it."""
        contents = {blob.sha256: self.blobs[blob.blob_id] for blob in spec.blobs}

        def inside(piece: Piece) -> Piece:
            return Piece(content=contents[piece.sha256]) if piece.sha256 else piece

        streams = [
            Stream(stream.names, inside(stream.pickles), [inside(piece) for piece in stream.pieces], stream.buffers)
            for stream in spec.streams
        ]
        return msgspec.structs.replace(spec, streams=streams, sources=inside(spec.sources), blobs=[])


class FakeConnection:
    address = "http://127.0.0.1:1/v2"

    def __init__(self, *endpoints: Endpoint) -> None:
        self.rows = list(endpoints or [LOCAL])
        self.shared: list[Endpoint] = []
        self.answers: dict[str, Any] = {}
        self.specs: list[CellSpec] = []
        self.options: list[TaskOptions] = []
        self.cancelled: list[TaskId] = []
        self.futures: dict[TaskId, FuncXFuture] = {}
        self.accepts = Limits()
        self.days = 7.0
        self.reported: list[Environment] = []
        self.group_id = new_group_id()
        self.store = FakeStore()
        self.pages: list[LogPage] = []
        self.asked: list[tuple[int, float]] = []
        self._lock = threading.Lock()
        self._kept: TemporaryDirectory[str] | None = None
        self._worker: Popen[bytes] | None = None
        self.hold = False  # never run anything: as if no worker were free

    def limits(self) -> Limits:
        return self.accepts

    def result_days(self) -> float:
        return self.days

    def endpoints(self, *, patiently: bool = True) -> list[Endpoint]:
        return self.rows

    def shared_endpoint(self, endpoint_id: str) -> list[Endpoint]:
        return [row for row in self.shared if row.endpoint_id == endpoint_id]

    def ask(self, *path: str, query: str = "") -> Any:
        return self.answers["/".join(path) + (f"?{query}" if query else "")]

    def submit(
        self,
        endpoint_id: EndpointId,
        spec: CellSpec,
        options: TaskOptions,
        listener: TaskListener,
        task_id: TaskId | None = None,
    ) -> FuncXFuture:
        route = Route(endpoint_id, self.group_id, options, TrustingReader(self.trusts))
        future = FuncXFuture(task_id or new_task_id(), None, route, listener)
        assert future.task_id is not None
        self.futures[future.task_id] = future
        self.specs.append(spec)
        self.options.append(options)
        if not self.hold:
            threading.Thread(target=self._work, args=(spec, future, listener), daemon=True).start()
        return future

    def _work(self, spec: CellSpec, future: FuncXFuture, listener: TaskListener) -> None:
        with self._lock:
            if self._worker is None:
                self._kept = TemporaryDirectory()
                self._worker = Popen([sys.executable, fake_worker.__file__, self._kept.name], stdin=PIPE, stdout=PIPE)
            worker = self._worker
            assert worker.stdin
            assert worker.stdout
            assert future.task_id
            fake_worker.write(worker.stdin, future.task_id.encode())
            fake_worker.write(worker.stdin, encode(self.store.put_inside(spec)))
            count = 0
            while True:
                message = fake_worker.messages.decode(fake_worker.read(worker.stdout))
                if isinstance(message, Output):
                    count += 1
                    seq = event_seq(1, count)
                    listener.on_event(TaskEvent(future.task_id, seq, message.kind, message.at, message.body))
                else:
                    result = message.results[0]
                    future.end(msgspec.structs.replace(result, task_id=future.task_id))
                    return

    def cancel(self, task_id: TaskId) -> None:
        self.cancelled.append(task_id)
        if self._worker is not None and not self.hold:
            self._worker.send_signal(signal.SIGINT)
            return
        error = TaskError(code="task_cancelled", message="The task was cancelled.")
        self.futures[task_id].end(TaskResult(task_id, 1, TaskState.CANCELLED, b"", error))

    def task(self, task_id: str) -> dict[str, Any]:
        return {"task_id": task_id, "status": "running"}

    def states(self, task_ids: Sequence[TaskId]) -> dict[str, dict[str, Any]]:
        return {task_id: self.task(task_id) for task_id in task_ids}

    def log(self, task_id: str, after: int = 0, *, wait: float = 0.0) -> LogPage:
        self.asked.append((after, wait))
        return self.pages.pop(0) if self.pages else LogPage([], after, is_over=True)

    def result(self, task_id: str) -> Any:
        return self.futures[TaskId(task_id)].result()

    def environments(self, endpoint_id: str) -> list[Environment]:
        return self.reported

    def outage(self) -> float | None:
        return None

    def trusts(self, endpoint_id: str) -> bool:
        return True

    def presented(self, error: FuncxError) -> FuncxError:
        return shown_in_one_line(error)

    def close(self) -> None:
        if self._worker is not None:
            self._worker.kill()
            self._worker.communicate()
            self._worker = None
        if self._kept is not None:
            self._kept.cleanup()
