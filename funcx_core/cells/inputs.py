"""Where a cell finds the inputs that did not travel inside of it: they are asked for by their SHA-256."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from funcx_core.errors import InputLost

Read = Callable[[str], bytes | bytearray]


def _nothing(sha256: str) -> bytes:
    raise InputLost(f"The cell came without its input {sha256[:12]}.")


_read: ContextVar[Read] = ContextVar("funcx_inputs", default=_nothing)


@contextmanager
def inputs_from(read: Read) -> Iterator[None]:
    """Within this, inputs are read by `read`, which raises `InputLost` if it does not have one."""
    token = _read.set(read)
    try:
        yield
    finally:
        _read.reset(token)


def read_input(sha256: str) -> bytes | bytearray:
    """Return the input with that SHA-256. If it is a `bytearray`, it is the caller's.

    Raises:
        InputLost: it is not there any more.
    """
    return _read.get()(sha256)
