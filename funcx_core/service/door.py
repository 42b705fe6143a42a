"""The socket on which clients come in, for a process that may run out of file descriptors."""

from __future__ import annotations

import errno
import logging
import socket
import time
from typing import Any, Final

from tornado.ioloop import IOLoop

_EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_REST: Final = 0.25
"""Seconds for which nobody is let in when there is no descriptor for another one: the socket stays readable meanwhile."""
_SAY_AGAIN: Final = 60.0

_log = logging.getLogger(__name__)


class Door(socket.socket):
    """Listens, and waits for a moment when there are no file descriptors left, instead of failing at every turn of the loop.

    Whoever waits to be let in stays in the kernel's queue. Belongs to the IOLoop that has a handler for it.
    """

    def __init__(self, listening: socket.socket) -> None:
        """Take over a socket that listens."""
        timeout = listening.gettimeout()
        super().__init__(fileno=listening.detach())
        self.settimeout(timeout)
        self._said_at = float("-inf")

    def accept(self) -> tuple[socket.socket, Any]:
        """Let one in.

        Raises:
            BlockingIOError: nobody waits, or there is no room for another one.
        """
        try:
            return super().accept()
        except OSError as error:
            if error.errno not in _EXHAUSTED:
                raise
            self._rest(error)
            raise BlockingIOError(errno.EAGAIN, "no room") from None

    def _rest(self, error: OSError) -> None:
        now = time.monotonic()
        if now - self._said_at > _SAY_AGAIN:
            self._said_at = now
            _log.error(
                "clients wait to be let in: %s; raise the limit of open files (ulimit -n) of the service",
                error.strerror,
            )
        loop = IOLoop.current()
        loop.update_handler(self.fileno(), 0)
        loop.call_later(_REST, self._open_again, loop)

    def _open_again(self, loop: IOLoop) -> None:
        if self.fileno() >= 0:
            loop.update_handler(self.fileno(), IOLoop.READ)
