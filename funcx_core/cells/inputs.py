"""Where a cell finds the inputs that did not travel inside of it: they are asked for by their SHA-256."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

from funcx_core.errors import InputLost

MOST_REMEMBERED: Final = 256 * 1024 * 1024
"""Bytes of inputs that a worker has in memory beside the copy that its cell works on."""

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


def remembering(read: Read, room: int = MOST_REMEMBERED) -> Read:
    """Return what reads each input once, up to so many bytes of all, and gives a copy to whoever asks."""
    known: dict[str, bytes] = {}

    def copy_of(sha256: str) -> bytes | bytearray:
        nonlocal room
        found = known.get(sha256)
        if found is not None:
            return bytearray(found)
        content = read(sha256)
        if len(content) <= room:
            room -= len(content)
            known[sha256] = bytes(content)
        return content

    return copy_of


def read_input(sha256: str) -> bytes | bytearray:
    """Return the input with that SHA-256. If it is a `bytearray`, it is the caller's.

    Raises:
        InputLost: it is not there any more.
    """
    return _read.get()(sha256)
