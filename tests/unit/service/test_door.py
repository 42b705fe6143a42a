"""Who comes in when there are no file descriptors left."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket

import pytest
from tornado import netutil

from funcx_core.service.door import Door


async def test_a_full_process_waits_says_so_once_and_lets_in_later(monkeypatch, caplog) -> None:
    tries = 0
    accept = socket.socket.accept

    def narrow(self):
        nonlocal tries
        tries += 1
        if tries < 3:
            raise OSError(errno.EMFILE, "Too many open files")
        return accept(self)

    monkeypatch.setattr(socket.socket, "accept", narrow)
    (listening,) = netutil.bind_sockets(0, "127.0.0.1", family=socket.AF_INET)
    door = Door(listening)
    let_in: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def come_in(connection: socket.socket, address: object) -> None:
        connection.close()
        let_in.set_result(None)

    remove = netutil.add_accept_handler(door, come_in)
    with caplog.at_level(logging.ERROR), socket.create_connection(door.getsockname()):
        await asyncio.wait_for(let_in, 10)
    assert tries >= 3
    assert [record.message for record in caplog.records] == [
        "clients wait to be let in: Too many open files; raise the limit of open files (ulimit -n) of the service"
    ]
    remove()
    door.close()


def test_another_error_is_one(monkeypatch) -> None:
    (listening,) = netutil.bind_sockets(0, "127.0.0.1", family=socket.AF_INET)
    with Door(listening) as door:
        with pytest.raises(BlockingIOError):
            door.accept()
        door.detach()
        with pytest.raises(OSError, match="Bad file descriptor"):
            door.accept()
