"""How the agent tells the command that started it that it is ready, or why it is not: JSON lines on a pipe."""

from __future__ import annotations

import contextlib
import os

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
