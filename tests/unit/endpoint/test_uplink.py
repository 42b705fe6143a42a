"""What an agent says to the forwarder while it registers."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from funcx_core.errors import AuthRequired, FuncxError, ResourceLocked, ServiceUnavailable
from funcx_core.ids import EndpointId, TaskId
from funcx_core.protocol.codec import encode
from funcx_core.protocol.endpoint import Attach, Events, GiveBack, Register, Registered
from funcx_core.protocol.task import EventKind, Lease, TaskEvent
from funcx_core.transport.zmq import KeyPair
from funcx_endpoint.interchange.unheard import Unheard
from funcx_endpoint.interchange.uplink import FIRST_PAUSE, LONGEST_PAUSE, Handler, Uplink

REGISTER = Register(endpoint_id=EndpointId("e"), epoch=7, window=1, heartbeat_period=1.0)
LOST = GiveBack(lost=[Lease(TaskId("t1"), 1)], reason="worker_lost")


class Agent(Handler):
    def registration(self) -> Register:
        return REGISTER

    def session_opened(self, registered: Registered) -> None: ...


class Channel:
    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def send(self, body: bytes) -> None:
        self.sent.append(body)


def an_uplink() -> tuple[Uplink, list[Any]]:
    uplink = Uplink(None, KeyPair("", ""), Agent(), epoch=7, register=lambda: None, threshold=3.0)  # type: ignore[arg-type]
    uplink._channels = [Channel(), Channel(), Channel()]
    return uplink, [channel.sent for channel in uplink._channels]


def opens(session: int) -> bytes:
    return encode(Registered(7, 1.0, 3.0, [], session))


async def test_what_is_given_back_between_a_registration_and_its_answer_is_sent_after_it() -> None:
    uplink, (_, results, commands) = an_uplink()
    uplink._register()
    uplink.report(LOST)
    assert (results, commands) == ([], [encode(REGISTER)])
    uplink._receive_commands([opens(1)])
    assert results == [encode(Attach(7, 1)), encode(LOST)]


async def test_what_is_printed_between_two_sessions_is_sent_before_the_results_of_the_second() -> None:
    uplink, (_, results, _commands) = an_uplink()
    printed = [Events([TaskEvent(TaskId("t1"), seq, EventKind.STDOUT, 0, b"x")]) for seq in (1, 2)]
    uplink._handler.session_opened = lambda _: results.append(b"results")  # type: ignore[method-assign]
    uplink._receive_commands([opens(1)])
    uplink.report(printed[0])
    uplink.is_open = False
    uplink.report(printed[1])
    results.clear()
    uplink._receive_commands([opens(2)])
    assert results == [encode(Attach(7, 2)), *map(encode, printed), b"results"]


def test_what_a_service_that_is_heard_has_committed_is_not_kept() -> None:
    unheard = Unheard(most_bytes=10)
    unheard.add(b"old", now=0.0)
    unheard.add(b"new", now=5.0)
    unheard.heard(6.0)
    assert unheard.messages() == [b"new"]
    unheard.add(b"12345678", now=6.0)
    assert unheard.messages() == [b"12345678"]


async def test_an_answer_to_an_earlier_registration_does_not_use_it_up() -> None:
    uplink, (_, results, _commands) = an_uplink()
    uplink._register()
    uplink._register()
    uplink.report(LOST)
    uplink._receive_commands([opens(1)])
    uplink._receive_commands([opens(2)])
    assert results[-2:] == [encode(Attach(7, 2)), encode(LOST)]


async def test_the_next_registration_says_it_itself() -> None:
    uplink, (_, results, _commands) = an_uplink()
    uplink._register()
    uplink.report(LOST)
    uplink._register()
    uplink._receive_commands([opens(1)])
    assert results == [encode(Attach(7, 1))]


class Patience(Exception):
    """The test has seen enough."""


async def waits_of(uplink: Uplink, error: FuncxError, monkeypatch: pytest.MonkeyPatch, tries: int = 60) -> list[float]:
    """Return how long the uplink waits after each registration that failed so."""
    waits: list[float] = []

    def refuse() -> None:
        raise error

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == tries:
            raise Patience

    uplink._ask_service = refuse  # type: ignore[assignment]
    monkeypatch.setattr(asyncio, "sleep", sleep)
    with pytest.raises(Patience):
        await uplink.run()
    return waits


async def test_a_service_that_is_away_is_asked_for_ever_at_times_that_nobody_shares(monkeypatch) -> None:
    uplink, _ = an_uplink()
    waits = await waits_of(uplink, ServiceUnavailable("It is away."), monkeypatch)
    assert max(waits) <= LONGEST_PAUSE
    assert min(waits) > 0
    assert sum(waits[20:]) / 40 > FIRST_PAUSE * 5, "they have grown"
    assert len(set(waits[5:])) == 55, "at random"


async def test_whatever_is_answered_later_an_agent_that_was_registered_asks_on(monkeypatch) -> None:
    uplink, _ = an_uplink()
    uplink.was_open = True
    assert len(await waits_of(uplink, AuthRequired("The token has expired."), monkeypatch)) == 60


@pytest.mark.parametrize("error", [AuthRequired("The token is wrong."), ResourceLocked("It is locked.")])
async def test_an_agent_that_was_never_registered_says_why(error: FuncxError) -> None:
    uplink, _ = an_uplink()

    def refuse() -> None:
        raise error

    uplink._ask_service = refuse  # type: ignore[assignment]
    with pytest.raises(type(error)):
        await uplink.run()
