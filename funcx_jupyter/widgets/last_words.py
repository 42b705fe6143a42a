"""What widgets leave behind when their kernel is shut down: HTML, which stays readable.

It is done while the kernel answers the request to shut down. Later, in an `atexit` function, its channel to front ends is not safe to use.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol

_TRIES: Final = 3
"""The kernel's thread may change what is read here, which is seen as an error."""


class Leaving(Protocol):
    """What is on the screen."""

    def leave_html(self) -> None:
        """Put HTML in the place of the widget."""


_on_screen: Final[weakref.WeakSet[Any]] = weakref.WeakSet()
_kernels: Final[weakref.WeakSet[Any]] = weakref.WeakSet()


def at_the_end(shown: Leaving) -> None:
    """Let it leave HTML when the kernel is shut down."""
    _on_screen.add(shown)
    ipython = sys.modules.get("IPython")
    kernel = getattr(None if ipython is None else ipython.get_ipython(), "kernel", None)
    if kernel is None or kernel in _kernels or not hasattr(kernel, "do_shutdown"):
        return
    _kernels.add(kernel)
    kernel.do_shutdown = _preceded(kernel.do_shutdown)


def forget(shown: Leaving) -> None:
    """It is not on the screen any more."""
    _on_screen.discard(shown)


def leave_all() -> None:
    """Let all that is on the screen leave HTML."""
    for shown in list(_on_screen):
        for _ in range(_TRIES):
            try:
                shown.leave_html()
            except Exception:  # noqa: BLE001, S112 - the kernel ends: there is nobody to tell, and the next one wants its turn
                continue
            break
    _on_screen.clear()


def _preceded(do_shutdown: Callable[[bool], Awaitable[Any]]) -> Callable[[bool], Awaitable[Any]]:
    def leave_and_shut_down(restart: bool) -> Awaitable[Any]:
        leave_all()
        return do_shutdown(restart)

    return leave_and_shut_down
