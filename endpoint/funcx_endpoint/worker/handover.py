"""How a worker in a container gets what a worker beside its manager inherits: settings, sockets, page, and its output.

A runtime may start the worker from a daemon, so that nothing is inherited. What all of them can do is to bind a folder. The
manager listens on a socket in a private one; the worker connects, and the kernel passes the descriptors over that connection.
From then on a worker in a container is a worker like any other: the socket is gone, its channel is its own, and the manager
knows its process by what the kernel says of the connection, wherever in a tree of processes it is.

A worker that is not the manager's child does not die with it by itself. So it gets the read end of a pipe of which only the
manager has the other end: the kernel kills the worker when that closes.
"""

from __future__ import annotations

import array
import contextlib
import fcntl
import os
import select
import signal
import socket
import struct
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from funcx_endpoint.worker.settings import WorkerSettings

_SETTINGS_BYTES: Final = 64 * 1024
_PEER: Final = struct.Struct("3i")
_NO_MANAGER: Final = 70
_PREFIX: Final = "funcx-worker-"
_STRAY_SECONDS: Final = 60.0
_HIGH: Final = 200
"""Where a task that closes what it knows of does not come by."""


class Handover:
    """The manager's side, for one worker. `folder` is what the container must have under the same path."""

    def __init__(self, name: str) -> None:
        # A socket's path is short, so it cannot be in the endpoint's folder.
        self.folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
        self._mark = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        fcntl.flock(self._mark, fcntl.LOCK_EX)
        self._path = self.folder / name
        self._life, self._others_life = os.pipe2(os.O_CLOEXEC)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.bind(str(self._path))
        self._socket.listen(1)
        self._socket.setblocking(False)

    def fileno(self) -> int:
        """Return what can be read when the worker is there."""
        return self._socket.fileno()

    def give(self, settings: WorkerSettings, descriptors: list[int], outputs: list[int]) -> int:
        """Give the worker what is its; return its process id, as this side sees it.

        Args:
            settings: with the descriptors' numbers on this side.
            descriptors: tasks, control, results and page.
            outputs: what becomes its stdout and stderr.

        Raises:
            OSError: it is gone again, or is not of this user.
        """
        connection, _ = self._socket.accept()
        with connection:
            peer = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
            pid, user, _ = _PEER.unpack(peer)
            if user != os.geteuid():
                raise PermissionError(f"a process of user {user} came for what belongs to user {os.geteuid()}")
            handed = array.array("i", [*descriptors, *outputs, self._life])
            connection.sendmsg([settings.to_argument().encode()], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, handed)])
        self.stop()
        return int(pid)

    def stop(self) -> None:
        """Let nobody else in. What is bound into the container stays."""
        self._socket.close()
        self._path.unlink(missing_ok=True)

    def close(self) -> None:
        """The worker has ended, or is to: it does not live longer than this."""
        self.stop()
        for descriptor in (self._life, self._others_life, self._mark):
            os.close(descriptor)
        _remove(self.folder)


def remove_stray(older_than: float = _STRAY_SECONDS) -> None:
    """Remove what managers left that were killed: folders of this user that nobody holds a lock on any more."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            known = folder.stat()
            if known.st_uid == os.geteuid() and time.time() - known.st_mtime > older_than and _is_free(folder):
                _remove(folder)


def _is_free(folder: Path) -> bool:
    mark = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        os.close(mark)
    return True


def _remove(folder: Path) -> None:
    # Only a socket and empty folders are here: what is bound on these is so in the container alone.
    with contextlib.suppress(OSError):
        for one in folder.iterdir():
            if one.is_dir():
                one.rmdir()
            else:
                one.unlink()
        folder.rmdir()


def take(path: str) -> WorkerSettings:
    """Connect to the manager and become its worker: its output is connected, and its life bound to the manager's.

    Raises:
        OSError: no manager is there.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
        connection.connect(path)
        room = socket.CMSG_SPACE(8 * array.array("i").itemsize)
        text, ancillary, _, _ = connection.recvmsg(_SETTINGS_BYTES, room, int(socket.MSG_CMSG_CLOEXEC))
    descriptors = array.array("i")
    for _, _, handed in ancillary:
        descriptors.frombytes(handed)
    tasks, control, results, page, out, err, life = descriptors
    for number, output in enumerate((out, err), start=1):
        os.dup2(output, number)
        os.close(output)
    _die_with_the_other_end(life)
    return WorkerSettings.from_argument(text.decode()).with_descriptors(tasks, control, results, page)


def _die_with_the_other_end(life: int) -> None:
    """Let the kernel kill this process when nobody has the other end of the pipe `life` any more."""
    lifted = fcntl.fcntl(life, fcntl.F_DUPFD_CLOEXEC, _HIGH)
    os.close(life)
    fcntl.fcntl(lifted, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(lifted, fcntl.F_SETSIG, int(signal.SIGKILL))
    fcntl.fcntl(lifted, fcntl.F_SETFL, fcntl.fcntl(lifted, fcntl.F_GETFL) | os.O_ASYNC)
    poll = select.poll()
    poll.register(lifted, 0)
    if poll.poll(0):
        os._exit(_NO_MANAGER)  # It was closed before anybody could notice.


def leave_first_place() -> None:
    """Go on in a child if this is the first process of a container: the kernel spares that one from signals.

    The first process stays behind, reaps what is orphaned, and ends as the worker did.
    """
    if os.getpid() != 1:
        return
    worker = os.fork()
    if not worker:
        return
    while True:
        ended, status = os.wait()
        if ended == worker:
            code = os.waitstatus_to_exitcode(status)
            os._exit(code if code >= 0 else 128 - code)


def settings_from(path: str) -> WorkerSettings:
    """Be the worker of the manager that listens at `path`; ends the process if there is none."""
    leave_first_place()
    try:
        return take(path)
    except OSError as error:
        sys.stderr.write(f"The worker cannot reach its manager: {error}\n")
        sys.exit(_NO_MANAGER)
