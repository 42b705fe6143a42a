"""How the agent tells whoever started it that it is ready, or why it is not: JSON lines on a pipe."""

from __future__ import annotations

import contextlib
import os
import select
import time

import msgspec

NOT_DETACHED = "not_detached"
"""Code of the report that the endpoint is to be run in the terminal, by `detach_endpoint=False`."""


class Report(msgspec.Struct, frozen=True):
    """One line. `state`: ``starting`` (more will follow), ``online``, or ``failed``; `code` of the error then."""

    state: str
    detail: str = ""
    code: str = ""


class Readiness:
    """Writes reports until one is final. Without a pipe it says nothing."""

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor
        self._said = ""

    @property
    def is_final(self) -> bool:
        """Whether the starter has its answer."""
        return self._descriptor is None

    def progress(self, detail: str) -> None:
        """Say what is waited for, once."""
        if detail != self._said:
            self._said = detail
            self._write(Report("starting", detail))

    def online(self, detail: str = "") -> None:
        """The endpoint is online: the starter may go."""
        self._finish(Report("online", detail))

    def failed(self, detail: str, code: str) -> None:
        """The endpoint cannot be brought online."""
        self._finish(Report("failed", detail, code))

    def _finish(self, report: Report) -> None:
        self._write(report)
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _write(self, report: Report) -> None:
        if self._descriptor is None:
            return
        with contextlib.suppress(OSError):  # The starter went away; nobody listens.
            os.write(self._descriptor, msgspec.json.encode(report) + b"\n")


class Reports:
    """The other end of the pipe: what an agent reports about its start.

    Args:
        descriptor: the end to read; it is closed with `close`.
        timeout: seconds from now until the starter has waited long enough.
    """

    def __init__(self, descriptor: int, *, timeout: float) -> None:
        self._descriptor = descriptor
        self._deadline = time.monotonic() + timeout

    def next(self) -> Report:
        """Return the next report.

        Raises:
            TimeoutError: none came in time.
            EOFError: the agent has ended, or given its answer.
        """
        line = b""
        while not line.endswith(b"\n"):  # The agent writes a line at once.
            left = self._deadline - time.monotonic()
            if left <= 0 or not select.select([self._descriptor], [], [], left)[0]:
                raise TimeoutError
            byte = os.read(self._descriptor, 1)
            if not byte:
                raise EOFError
            line += byte
        return msgspec.json.decode(line, type=Report)

    def close(self) -> None:
        """Read no more."""
        os.close(self._descriptor)
