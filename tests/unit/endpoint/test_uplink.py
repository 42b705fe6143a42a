"""What an agent says to the forwarder while it registers."""

from __future__ import annotations

from typing import Any

from funcx_core.ids import EndpointId, TaskId
from funcx_core.protocol.codec import encode
from funcx_core.protocol.endpoint import Attach, GiveBack, Register, Registered
from funcx_core.protocol.task import Lease
from funcx_core.transport.zmq import KeyPair
from funcx_endpoint.interchange.uplink import Handler, Uplink

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
