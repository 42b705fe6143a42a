"""What the variables of a failing frame look like, as short texts. Neither a `repr` that raises nor one that hangs does any harm here."""

from __future__ import annotations

import os
import re
import reprlib
import signal
import threading
import time
import types
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from funcx_core.cells.sources import is_cell

MOST: Final = 40
"""Variables that are shown."""
LONGEST: Final = 240
"""Characters of one."""
SECONDS: Final = 1.0
"""For all of them together."""
SECONDS_EACH: Final = 0.2
HIDDEN: Final = "<hidden>"
_SECRET: Final = re.compile(
    r"pass(word|wd|phrase)?$|passw|token|secret|credential|api_?key|access_?key|private_?key|authorization|cookie",
    re.IGNORECASE,
)
_CODE: Final = (types.ModuleType, types.FunctionType, types.BuiltinFunctionType, type)


def failing_frame(trace: types.TracebackType | None) -> types.FrameType | None:
    """Return the last frame that runs code of a cell; None if there is none."""
    found = None
    while trace is not None:
        if is_cell(trace.tb_frame.f_code.co_filename):
            found = trace.tb_frame
        trace = trace.tb_next
    return found


def shown_locals(frame: types.FrameType) -> dict[str, str]:
    """Return what the variables of a frame look like, by name; of the cell itself those that its code names."""
    is_top = frame.f_locals is frame.f_globals
    wanted = frame.f_code.co_names if is_top else tuple(frame.f_locals)
    values = {name: frame.f_locals[name] for name in wanted if name in frame.f_locals and not name.startswith("__")}
    plain = {name: value for name, value in values.items() if not isinstance(value, _CODE)}
    until = time.monotonic() + SECONDS
    return {name: _shown(name, value, until) for name, value in list(plain.items())[:MOST]}


def _shown(name: str, value: Any, until: float) -> str:
    if is_secret(name):
        return HIDDEN
    left = until - time.monotonic()
    if left <= 0 or threading.current_thread() is not threading.main_thread():
        return _kind(value)
    try:
        with _no_longer_than(min(left, SECONDS_EACH)):
            text = _bounded.repr(value)
        return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
    except (Exception, _TooSlow):  # noqa: BLE001 - it is the user's code
        return _kind(value)


def is_secret(name: object) -> bool:
    """Return whether something of that name is not to be shown."""
    return isinstance(name, str) and _SECRET.search(name) is not None


def _kind(value: Any) -> str:
    return f"<{type(value).__module__}.{type(value).__qualname__}>".replace("<builtins.", "<")


class _TooSlow(BaseException):
    """No `Exception`: the code that takes too long might catch that."""


@contextmanager
def _no_longer_than(seconds: float) -> Iterator[None]:
    def stop(*_: Any) -> None:
        raise _TooSlow

    handler = signal.signal(signal.SIGALRM, stop)
    left, interval = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, left, interval)
        signal.signal(signal.SIGALRM, handler)


class _Bounded(reprlib.Repr):
    """Looks at the beginning of what is large, and not at values of keys that name secrets."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel = 4
        self.maxlist = self.maxtuple = self.maxset = self.maxfrozenset = self.maxdeque = self.maxdict = 8
        self.maxstring = self.maxother = self.maxlong = LONGEST // 2

    def repr_dict(self, x: dict[Any, Any], level: int) -> str:
        """Return the first items of a dict."""
        if level <= 0:
            return "{...}"
        parts: list[str] = []
        for key, value in x.items():
            if len(parts) == self.maxdict:
                parts.append("...")
                break
            shown = HIDDEN if is_secret(key) else self.repr1(value, level - 1)
            parts.append(f"{self.repr1(key, level - 1)}: {shown}")
        return f"{{{', '.join(parts)}}}"

    def repr_bytes(self, x: bytes, level: int) -> str:
        """Return the beginning of bytes."""
        del level
        return repr(x) if len(x) <= self.maxstring else f"{x[: self.maxstring]!r}... ({len(x):,} bytes)"

    def repr_instance(self, x: Any, level: int) -> str:
        """Return what an object says of itself; never the whole environment."""
        del level
        if isinstance(x, type(os.environ)):
            return _kind(x)
        return repr(x)


_bounded: Final = _Bounded()
