"""Runs the calls of a range of a map, one after the other; the failure of one does not end the others.

An interrupt of the manager (cancel, walltime) ends the range, and what is complete by then is kept. The call that was under
way counts as not run, whatever it made of the interrupt.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

from funcx_core.errors import ArgumentLoadError
from funcx_core.protocol.progress import RANGE
from funcx_core.protocol.ranges import Failure
from funcx_core.protocol.task import TaskError
from funcx_core.serialize import unpack_call
from funcx_core.serialize.ranges import OutcomesPacker, unpack_range
from funcx_endpoint.worker.capture import bars

PROGRESS_SECONDS: Final = 0.5
"""How often a range tells how far it is. One that is shorter tells nothing."""

SHORT_SECONDS: Final = 0.001
LONG_SECONDS: Final = 0.05
MOST_AT_ONCE: Final = 64
"""Calls between two looks at the clock: twice as many after a short time, one after a long one."""


class RangeRun:
    """The run of one range.

    Args:
        function: what to call.
        payload: the range.
        is_stopping: whether the manager wants this task to end.
        describe: gives the error of what a call raised.

    Raises:
        DeserializationError: the payload is no range. Whatever the arguments' pickle raises passes through.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        payload: bytes,
        *,
        is_stopping: Callable[[], bool],
        describe: Callable[[BaseException], TaskError],
    ) -> None:
        calls, self._is_listed = unpack_range(payload)
        self._calls = [(call,) for call in calls] if self._is_listed else calls
        self._function = _taking_payload(function) if self._is_listed else function
        self._is_stopping = is_stopping
        self._describe = describe
        self._values: list[Any] = []
        self._failures: list[Failure] = []

    def run(self) -> None:
        """Run the calls. What stops them all passes through; `outcomes` then has those that are complete.

        Raises:
            KeyboardInterrupt: the manager wants the task to end.
        """
        due = then = time.monotonic()
        due += PROGRESS_SECONDS
        start, size = 0, 1
        while start < len(self._calls):
            self._run_some(self._calls[start : start + size])
            start += size
            now = time.monotonic()
            if now - then < SHORT_SECONDS:
                size = min(size * 2, MOST_AT_ONCE)
            elif now - then > LONG_SECONDS:
                size = 1
            then = now
            if now > due:
                if self._is_stopping():  # A call swallowed the interrupt.
                    raise KeyboardInterrupt
                self._tell()
                due = now + PROGRESS_SECONDS

    def _run_some(self, calls: list[Any]) -> None:
        function = self._function
        add = self._values.append
        for args in calls:
            try:
                add(function(*args))
            except BaseException as error:
                if self._is_stopping():
                    raise
                self._fail(error)

    def outcomes(self, packer: OutcomesPacker) -> bytes:
        """Return what became of the calls."""
        return packer.pack(len(self._calls), self._values, self._failures, alone=self._is_listed)

    @property
    def _ran(self) -> int:
        return len(self._values) + len(self._failures)

    def _fail(self, error: BaseException) -> None:
        place = self._ran
        self._failures.append(Failure(place, self._describe(error)))

    def _tell(self) -> None:
        if (shown := bars()) is not None:
            shown.board.count(RANGE, self._ran, len(self._calls))


def _taking_payload(function: Callable[..., Any]) -> Callable[[bytes], Any]:
    def call(payload: bytes) -> Any:
        try:
            args, kwargs = unpack_call(payload)
        except Exception as error:
            raise ArgumentLoadError("The arguments cannot be loaded on this worker") from error
        return function(*args, **kwargs)

    return call
