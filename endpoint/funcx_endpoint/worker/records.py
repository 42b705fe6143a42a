"""Whole records over a SEQPACKET socketpair; large ones in a memfd that travels with a record of one byte."""

from __future__ import annotations

import array
import mmap
import os
import socket
from typing import Final

INLINE: Final = 64 * 1024
"""Bytes of the largest record that is sent inline. Two of them fit into a socket's default buffer."""
_CLOEXEC: Final = int(socket.MSG_CMSG_CLOEXEC)
_LARGE: Final = b"\x00"
_BUFFER: Final = 2 * INLINE
_ANCILLARY: Final = socket.CMSG_SPACE(array.array("i").itemsize)
SOCKET_BUFFER: Final = 1024 * 1024


def socketpair() -> tuple[socket.socket, socket.socket]:
    """Return two connected ends; what is sent as one record is received as one."""
    pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in pair:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BUFFER)
    return pair


def send(channel: socket.socket, record: bytes | memoryview) -> None:
    """Send one record.

    Raises:
        OSError: the other side is gone, or (on a socket that does not block) has its buffer full.
    """
    if len(record) <= INLINE:
        channel.send(record)
        return
    descriptor = os.memfd_create("funcx-record", os.MFD_CLOEXEC)
    try:
        view = memoryview(record)
        while view:
            view = view[os.write(descriptor, view) :]
        channel.sendmsg([_LARGE], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [descriptor]))])
    finally:
        os.close(descriptor)


class Record:
    """A received record. `view` is valid until `close`."""

    def __init__(self, view: bytes | memoryview, mapped: mmap.mmap | None = None) -> None:
        self.view = view
        self._mapped = mapped

    def close(self) -> None:
        """Free the memory of a large record."""
        if self._mapped is not None:
            assert isinstance(self.view, memoryview)  # noqa: S101 - a mapped record is a view
            self.view.release()
            self._mapped.close()


def receive(channel: socket.socket, flags: int = 0) -> Record | None:
    """Receive one record; None at the end of the stream.

    Args:
        channel: where from.
        flags: `MSG_DONTWAIT` where the socket itself must stay blocking, because another process waits in it.

    Raises:
        OSError: the other side is gone, or (without blocking) nothing is there.
    """
    data, ancillary, _, _ = channel.recvmsg(_BUFFER, _ANCILLARY, flags | _CLOEXEC)
    if not ancillary:
        return Record(data) if data else None
    descriptors = array.array("i")
    descriptors.frombytes(ancillary[0][2])
    descriptor = descriptors[0]
    try:
        mapped = mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)
    finally:
        os.close(descriptor)
    return Record(memoryview(mapped), mapped)
