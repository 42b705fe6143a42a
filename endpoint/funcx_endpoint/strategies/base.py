"""Strategies that are called after `threshold` events, or after `interval` seconds, whichever comes first."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from funcx_core.errors import ConfigError
from funcx_endpoint.strategies.flow import Flow

if TYPE_CHECKING:
    from funcx_endpoint.blocks.for_strategies import BlocksForStrategies

_log = logging.getLogger(__name__)

ENDS_WITHIN: Final = 5.0
"""Seconds that a strategy may go on when it is closed. Its thread keeps nobody from ending."""


class BaseStrategy:
    """Calls `strategize` again and again, on a thread of its own, from `start` to `close`.

    A subclass decides in `strategize` how many blocks there are, with the methods of `self.interchange`::

        class AtNight(BaseStrategy):
            def strategize(self, *args, **kwargs):
                if self.interchange.get_total_tasks_outstanding() and not 6 <= time.localtime().tm_hour < 22:
                    self.interchange.scale_out(1)

    What `strategize` raises is logged, and it is called again.

    Args:
        *args: for subclasses.
        threshold: tasks that arrive after which it is called.
        interval: seconds after which it is called anyway.
    """

    def __init__(self, *args: Any, threshold: int = 20, interval: float = 5) -> None:
        if threshold < 1 or interval <= 0:
            raise ConfigError(
                f"{type(self).__name__}: threshold is {threshold} and interval {interval}; both must be above 0."
            )
        self.args = args
        self.threshold = threshold
        self.interval = interval
        self.interchange: BlocksForStrategies = None  # type: ignore[assignment] # `start` sets it
        self._thread: _CallingThread | None = None

    def start(self, interchange: BlocksForStrategies) -> None:
        """Bind the strategy to the interchange of an endpoint and begin."""
        self.interchange = interchange
        self._thread = _CallingThread(self.make_callback, self.threshold, self.interval)

    def notify(self, event_id: Any) -> None:  # noqa: ARG002 - documented; which event it was makes no difference
        """One event happened. The interchange calls this for each task that arrives."""
        self.notify_many(1)

    def notify_many(self, number: int) -> None:
        """So many events happened at once."""
        if self._thread is not None:
            self._thread.notify(number)

    def make_callback(self, kind: str | None = None) -> None:
        """Call `strategize` now; a new interval begins. `kind`: what was the reason, ``threshold`` or ``interval``."""
        if self._thread is not None:
            self._thread.reset()
        self.strategize(kind=kind)

    def strategize(self, *args: Any, **kwargs: Any) -> None:
        """Adjust the number of blocks. Subclasses do something here."""
        raise NotImplementedError(f"{type(self).__name__} has no method strategize.")

    def close(self) -> None:
        """End the thread. It is waited for, but not for long."""
        if self._thread is not None:
            self._thread.close()
            self._thread = None


class Timer:
    """Calls ``callback(*args)`` every `interval` seconds, on a thread of its own, until `close`."""

    def __init__(self, callback: Callable[..., Any], *args: Any, interval: float = 5) -> None:
        self._callback = callback
        self._args = args
        self.interval = interval
        self._thread = _CallingThread(self.make_callback, None, interval)

    def make_callback(self, kind: str | None = None) -> None:  # noqa: ARG002 - documented, for the log of old releases
        """Call it now; a new interval begins."""
        self._thread.reset()
        self._callback(*self._args)

    def close(self) -> None:
        """End the thread."""
        self._thread.close()


class _CallingThread:
    """A thread that calls something whenever its flow is due."""

    def __init__(self, call: Callable[[str], None], threshold: int | None, interval: float) -> None:
        self._call = call
        self._flow = Flow(threshold, interval, now=time.monotonic())
        self._changed = threading.Condition()
        self._is_closed = False
        self._thread = threading.Thread(target=self._run, name="funcx-strategy", daemon=True)
        self._thread.start()

    def notify(self, number: int) -> None:
        with self._changed:
            self._flow.notify(number)
            if self._flow.due(time.monotonic()):
                self._changed.notify()

    def reset(self) -> None:
        with self._changed:
            self._flow.reset(time.monotonic())

    def close(self) -> None:
        with self._changed:
            self._is_closed = True
            self._changed.notify()
        if self._thread is not threading.current_thread():
            self._thread.join(ENDS_WITHIN)

    def _run(self) -> None:
        while (reason := self._next()) is not None:
            try:
                self._call(reason)
            except Exception:  # noqa: BLE001 - the one broad except of this thread: what it calls is its user's
                _log.exception("A strategy raised; it is called again.")

    def _next(self) -> str | None:
        """Wait until it is due; return why, or None when this is closed."""
        with self._changed:
            while not self._is_closed:
                reason = self._flow.due(time.monotonic())
                if reason is not None:
                    # Also when the call raises before it resets: it must not be due again at once.
                    self._flow.reset(time.monotonic())
                    return reason
                self._changed.wait(self._flow.remaining(time.monotonic()))
            return None
