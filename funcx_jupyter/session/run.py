"""Runs one prepared cell: sends it, watches it, and takes in what comes back."""

from __future__ import annotations

import time
from typing import Any, Protocol

import msgspec

from funcx_core.errors import FuncxError, RemoteTaskError, ServiceUnavailable, TaskTimeout
from funcx_core.protocol.task import TaskOptions
from funcx_core.sdk.futures import FuncXFuture
from funcx_core.serialize import RemoteInfo
from funcx_jupyter.display import words
from funcx_jupyter.display.header import Header, describe_inputs
from funcx_jupyter.display.header_line import HeaderLine
from funcx_jupyter.display.player import Player, Publisher
from funcx_jupyter.errors import CellInterrupted, shown_in_one_line
from funcx_jupyter.options import CellOptions
from funcx_jupyter.session.endpoints import Endpoint
from funcx_jupyter.session.outcome import Finished, end_state, open_outcome, timing_of
from funcx_jupyter.session.prepare import ROOM_FOR_CODE, PreparedCell, check_size
from funcx_jupyter.session.state import Sent, Session, TaskRecord
from funcx_jupyter.session.watch import Mailbox, Watcher


class Screen(Protocol):
    """Where a cell's output goes: see `funcx_jupyter.shell`."""

    @property
    def publisher(self) -> Publisher:
        """What shows rich output."""

    def header(self, header: Header, *, first: bool, last: bool) -> None:
        """Show the header line."""

    def arrange(self, error: BaseException, *, where: str, verbose: bool) -> BaseException:
        """Return the exception of the cell's own code, told how to show itself."""


class CellRun:
    """One run of one cell. Call `run` once."""

    def __init__(
        self, session: Session, endpoint: Endpoint, prepared: PreparedCell, options: CellOptions, screen: Screen
    ) -> None:
        self._session = session
        self._endpoint = endpoint
        self._prepared = prepared
        self._options = options
        self._screen = screen
        self._mailbox = Mailbox()

    def run(self, namespace: dict[str, Any], tags: dict[str, str]) -> Finished:
        """Return what the cell gave back; its outputs are in `namespace` then. If this raises, nothing was assigned.

        Raises:
            CellInterrupted: the user stopped it.
            BaseException: what the cell raised, or one of our errors.
        """
        sent_at = time.time()
        future = self._submit(tags)
        line = HeaderLine(self._first_header(future), self._show)
        self._screen.header(line.header, first=True, last=False)
        self._watch(future, line, sent_at)
        error = future.exception()
        if error is not None:
            self._end(future, line, sent_at)
            raise self._presentable(error, str(future.task_id)) from error.__cause__
        is_trusted = self._session.connection.trusts(self._endpoint.endpoint_id)
        finished = open_outcome(future.result(), self._prepared.spec.outputs, namespace, is_trusted=is_trusted)
        self._end(future, line, sent_at, outputs=finished.describe())
        namespace.update(finished.outputs)
        return finished

    def _submit(self, tags: dict[str, str]) -> FuncXFuture:
        connection = self._session.connection
        limits = connection.limits()
        check_size(self._prepared, limits.max_payload)
        spec = msgspec.structs.replace(self._prepared.spec, result_limit=limits.max_result - ROOM_FOR_CODE)
        asked = self._options
        options = TaskOptions(
            walltime=asked.walltime,
            retry_on_loss=asked.retries,
            tags=tags,
            priority=asked.priority,
            resources=asked.resources,
        )
        future = connection.submit(self._endpoint.endpoint_id, spec, options, self._mailbox)
        future.add_done_callback(self._mailbox.on_end)
        assert future.task_id is not None  # noqa: S101 - futures of submitted tasks have one
        title = words.title(spec.source)
        sent = Sent(self._endpoint.endpoint_id, spec, options)
        self._session.remember(TaskRecord(task_id=future.task_id, endpoint=self._endpoint.name, cell=title, sent=sent))
        return future

    def _first_header(self, future: FuncXFuture) -> Header:
        return Header(
            endpoint=self._endpoint.name,
            task_id=str(future.task_id),
            inputs=describe_inputs(self._prepared.captured, verbose=self._options.verbose),
            outputs=", ".join(self._prepared.spec.outputs),
            verbose=self._options.verbose,
        )

    def _show(self, header: Header) -> None:
        self._screen.header(header, first=False, last=False)

    def _watch(self, future: FuncXFuture, line: HeaderLine, sent_at: float) -> None:
        player = Player(self._screen.publisher, lambda: self._screen.header(line.header, first=True, last=False))
        cancel = self._session.connection.cancel
        watcher = Watcher(future, self._mailbox, player, line, cancel=cancel, stream=self._options.stream)
        try:
            watcher.wait()
        except CellInterrupted:
            self._end(future, line, sent_at)
            raise

    def _presentable(self, error: BaseException, task_id: str) -> BaseException:
        """Return the error as the user is to see it: their own with its lines, ours in one."""
        if isinstance(error, ServiceUnavailable):
            self._session.close()  # The stream has given up; the next cell gets a new one.
        if isinstance(error, TaskTimeout) and self._options.walltime is not None:
            limit = f"{self._options.walltime:g}"
            error.args = (f"Stopped after {limit} s (-t {limit}). Partial output kept.",)
        if isinstance(error, FuncxError) and not isinstance(error, RemoteTaskError):
            return shown_in_one_line(error)
        if isinstance(error, ModuleNotFoundError):
            error.add_note(f"`{error.name}` has to be installed on {self._endpoint.name}, where the cell ran.")
        remote = getattr(error, "funcx", None)
        host = remote.details.get("hostname") if isinstance(remote, RemoteInfo) else None
        place = [self._endpoint.name, *([f"host {host}"] if host else []), f"task {words.short_id(task_id)}"]
        return self._screen.arrange(error, where=", ".join(place), verbose=self._options.verbose)

    def _end(self, future: FuncXFuture, line: HeaderLine, sent_at: float, **fields: Any) -> None:
        """Show how it ended. A detached task has not."""
        if not future.done():
            self._screen.header(line.header, first=False, last=True)
            return
        state = end_state(future.exception())
        timing = timing_of(future.times, sent_at=sent_at, total=line.elapsed)
        self._session.tasks[future.task_id].state = state  # type: ignore[index]
        line.header = msgspec.structs.replace(
            line.header, state=state, elapsed=line.elapsed, timing=timing, note="", **fields
        )
        self._screen.header(line.header, first=False, last=True)
