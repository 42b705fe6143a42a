"""Asking a running agent: both sides on a real socket, the agent played by the test."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from funcx_core.errors import EndpointStateError, RemoteProtocolError, UsageError
from funcx_core.ids import BlockId, ManagerId
from funcx_core.protocol.endpoint import EndpointStatus
from funcx_core.protocol.manager import ManagerRegister
from funcx_endpoint.blocks.records import Phase
from funcx_endpoint.control.client import ask
from funcx_endpoint.control.messages import (
    Answer,
    AskBlocks,
    AskManagers,
    AskStatus,
    Blocks,
    Hold,
    ManagerReport,
    Managers,
    Question,
    ScaleIn,
    ScaleOut,
    Told,
)
from funcx_endpoint.control.server import ControlServer
from funcx_endpoint.control.socket_path import NAME, short_path
from funcx_endpoint.interchange.answers import Answers
from funcx_endpoint.interchange.state import Interchange


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


class Runner:
    """Blocks as `BlockRunner` has them."""

    def __init__(self) -> None:
        self.state = self
        self.phases = {"0": Phase.ACTIVE, "1": Phase.STARTING, "2": Phase.ENDING}

    @property
    def block_ids(self) -> list[str]:
        return list(self.phases)

    def phase(self, block_id: str) -> Phase | None:
        return self.phases.get(block_id)

    def scale_out(self, number: int) -> None:
        self.phases |= {str(len(self.phases) + one): Phase.SUBMITTING for one in range(number)}

    def scale_in(self, number: int, *, block_ids: list[str]) -> None:
        for block_id in [*block_ids, *list(self.phases)[:number]]:
            self.phases[block_id] = Phase.ENDING


def an_interchange() -> Interchange:
    """With a manager ``m`` of two workers."""
    made = Interchange(heartbeat_period=1, heartbeat_threshold=10)
    register = ManagerRegister(
        manager_id=ManagerId("m"),
        block_id=BlockId("0"),
        epoch=1,
        capacity=2,
        hostname="h",
        pid=1,
        python_version="",
        version="",
        cores=1,
        memory_bytes=1,
    )
    made.receive(ManagerId("m"), register, now=0, stamp=1)
    return made


@pytest.fixture
def answers() -> Answers:
    return Answers(Runner(), an_interchange(), status=EndpointStatus, perform=list)  # type: ignore[arg-type]


def test_blocks_are_told_and_new_ones_named(answers: Answers) -> None:
    assert answers.answer(AskBlocks()) == Blocks({"0": "active", "1": "starting", "2": "ending"})
    assert answers.answer(ScaleOut(2)) == Blocks({"3": "submitting", "4": "submitting"})


def test_those_that_end_are_named_once(answers: Answers) -> None:
    assert answers.answer(ScaleIn(1, ["1"])) == Blocks({"0": "ending", "1": "ending"})
    assert answers.answer(ScaleIn(1)) == Blocks({})


def test_no_blocks_and_unknown_blocks_are_refused(answers: Answers) -> None:
    with pytest.raises(UsageError, match="must be 1 or more"):
        answers.answer(ScaleOut(0))
    with pytest.raises(UsageError, match=r"no block 7. There are: 0, 1, 2"):
        answers.answer(ScaleIn(0, ["7"]))


def test_a_manager_is_held_and_let_go(answers: Answers) -> None:
    def manager(*, is_held: bool) -> Managers:
        return Managers(
            [
                ManagerReport(
                    manager_id="m",
                    block_id="0",
                    hostname="h",
                    workers=2,
                    leased=0,
                    is_held=is_held,
                    is_open=not is_held,
                )
            ]
        )

    assert answers.answer(AskManagers()) == manager(is_held=False)
    assert answers.answer(Hold("m")) == manager(is_held=True) == answers.answer(AskManagers())
    assert answers.answer(Hold("m", hold=False)) == manager(is_held=False)
    with pytest.raises(UsageError, match=r"no manager x. There are: m"):
        answers.answer(Hold("x"))
