"""When a signal of the manager may interrupt a task: only the task that it is meant for, and only inside the user's code.

The manager writes the number of the task into the page before it sends a signal. A signal that comes late, when
the worker is at the next task already, is ignored. A task may send signals to itself; those are not the manager's.
"""

from __future__ import annotations

import os
import signal
from types import FrameType
from typing import Any

from funcx_endpoint.worker.page import TARGET, Page


class Interrupts:
    """The worker's SIGINT and SIGTERM handlers."""

    def __init__(self, page: Page) -> None:
        self._numbers = page.numbers
        self._number = 0
        self._allowed = False
        self._handled = self._numbers[TARGET]
        self._has_raised = False

    def install(self) -> None:
        """Handle SIGINT and SIGTERM from now on."""
        signal.signal(signal.SIGINT, self._interrupt)
        signal.signal(signal.SIGTERM, self._terminate)

    def allow(self, number: int) -> None:
        """The user's code of task `number` begins.

        Raises:
            KeyboardInterrupt: the manager asked to stop it before it had begun.
        """
        self._number = number
        self._allowed = True
        if self._numbers[TARGET] == number:
            raise KeyboardInterrupt

    def has_raised(self) -> bool:
        """Whether something was interrupted since this was asked last."""
        raised, self._has_raised = self._has_raised, False
        return raised

    def is_stopping(self) -> bool:
        """Whether the manager wants the present task to end."""
        return bool(self._numbers[TARGET] == self._number)

    def forbid(self) -> None:
        """The user's code has ended."""
        self._allowed = False

    def _interrupt(self, _signal: int, _frame: FrameType | None) -> Any:
        if not self._allowed:
            return
        target = self._numbers[TARGET]
        is_from_manager = target != self._handled
        self._handled = target
        if target == self._number or not is_from_manager:
            self._has_raised = True
            raise KeyboardInterrupt

    def _terminate(self, number: int, _frame: FrameType | None) -> Any:
        # A batch system sends SIGTERM to every process of a block: what that means is the manager's business.
        if self._allowed and self._numbers[TARGET] == self._number:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    def after_fork(self) -> None:
        """In a child that the task forked: signals act as in any Python process."""
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
