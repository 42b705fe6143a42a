"""What a worker has as its file descriptors 1 and 2, from the other end."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import termios
from typing import Final

from funcx_core.protocol.task import EventKind

PIPE_BYTES: Final = 256 * 1024
READ_BYTES: Final = 64 * 1024
_NOTHING: Final = b"\0\0\0\0"


class Pipe:
    """The read end of a worker's file descriptor 1 or 2."""

    def __init__(self, kind: EventKind, descriptor: int) -> None:
        self.kind = kind
        self.descriptor = descriptor
        os.set_blocking(descriptor, False)
        with contextlib.suppress(OSError):
            fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, PIPE_BYTES)

    def holds_output(self) -> bool:
        """Whether there is something to read."""
        return fcntl.ioctl(self.descriptor, termios.FIONREAD, _NOTHING) != _NOTHING

    def read(self) -> bytes:
        """Return what is there now, at most `READ_BYTES`. Call it when there is something."""
        return os.read(self.descriptor, READ_BYTES)

    def is_at_end(self) -> bool:
        """Whether all is read and nobody has the other end any more."""
        poll = select.poll()
        poll.register(self.descriptor, 0)
        hung_up = any(event & select.POLLHUP for _, event in poll.poll(0))
        return hung_up and not self.holds_output()
