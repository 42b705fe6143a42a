"""Asking a running agent: both sides on a real socket, the agent played by the test."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from funcx_core.errors import EndpointStateError, RemoteProtocolError, UsageError
from funcx_core.protocol.endpoint import EndpointStatus
from funcx_endpoint.control.client import ask
from funcx_endpoint.control.messages import Answer, AskBlocks, AskStatus, Blocks, Question, Told
from funcx_endpoint.control.server import ControlServer
from funcx_endpoint.control.socket_path import NAME, short_path


def answer(question: Question) -> Answer:
    if isinstance(question, AskBlocks):
        raise UsageError("Not now.")
    return Told(EndpointStatus(workers=3))


@pytest.fixture
async def folder(tmp_path: Path) -> AsyncIterator[Path]:
    path = tmp_path / ("deep" * 40)  # longer than the kernel takes for a socket
    path.mkdir()
    (path / NAME).touch()  # left by an agent that was killed
    server = ControlServer(path, answer)
    await server.open()
    yield path
    server.close()
    assert not (path / NAME).exists()


async def test_a_question_is_answered_whatever_the_length_of_the_path(folder: Path) -> None:
    told = await asyncio.to_thread(ask, folder, AskStatus(), Told)
    assert told.status.workers == 3
    assert (folder / NAME).stat().st_mode & 0o777 == 0o600


async def test_a_refusal_is_raised(folder: Path) -> None:
    with pytest.raises(UsageError, match="Not now"):
        await asyncio.to_thread(ask, folder, AskBlocks(), Blocks)


async def test_an_answer_of_another_kind_is_one_of_another_version(folder: Path) -> None:
    with pytest.raises(RemoteProtocolError, match="something else"):
        await asyncio.to_thread(ask, folder, AskStatus(), Blocks)


async def test_nonsense_is_refused_and_the_next_question_answered(folder: Path) -> None:
    def asked() -> bytes:
        with socket.socket(socket.AF_UNIX) as connection, short_path(folder) as path:
            connection.connect(path)
            connection.sendall(b'{"type": "explode"}\n{"type": "status"}\n')
            with connection.makefile("rb") as stream:
                return stream.readline() + stream.readline()

    refused, told = (await asyncio.to_thread(asked)).splitlines()
    assert b'"failed"' in refused
    assert b'"told"' in told


def test_without_an_agent_the_error_says_so(tmp_path: Path) -> None:
    with pytest.raises(EndpointStateError, match="does not answer"):
        ask(tmp_path, AskStatus(), Told)
