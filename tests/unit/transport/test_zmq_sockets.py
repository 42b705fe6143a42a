"""The asyncio sockets: order, load, closing, and who may connect. Real sockets on loopback."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import zmq

from funcx_core.errors import ConfigError, ServiceUnavailable
from funcx_core.transport.zmq import Dealer, KeyPair, Received, Router, Zap

SERVER, ALICE, EVE = KeyPair.generate(), KeyPair.generate(), KeyPair.generate()


class Pair:
    """A router, and dealers that connect to it."""

    def __init__(self, authorize: Callable[[str], Awaitable[bool]]) -> None:
        self.server_context: zmq.Context[Any] = zmq.Context()
        self.context: zmq.Context[Any] = zmq.Context()
        self.zap = Zap(self.server_context, authorize)
        self.at_router: list[Received] = []
        self.at_dealer: list[bytes] = []
        self.renewals = 0
        self.dealers: list[Dealer] = []
        self.router = self.bind(0)

    def bind(self, port: int) -> Router:
        return Router(self.server_context, "127.0.0.1", port, keys=SERVER, on_messages=lambda got: self.receive(got))  # noqa: PLW0108 - tests replace `receive`

    def receive(self, got: list[Received]) -> None:
        self.at_router += got

    def connect(self, keys: KeyPair = ALICE) -> Dealer:
        dealer = Dealer(
            self.context,
            f"tcp://127.0.0.1:{self.router.port}",
            server_key=SERVER.public,
            keys=keys,
            on_messages=self.at_dealer.extend,
            on_renewed=self.renewed,
        )
        self.dealers.append(dealer)
        return dealer

    def renewed(self) -> None:
        self.renewals += 1

    def close(self) -> None:
        for dealer in self.dealers:
            dealer.close()
        self.router.close()
        self.zap.close()
        self.context.term()
        self.server_context.term()


async def only_alice(key: str) -> bool:
    return key == ALICE.public


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    made = Pair(only_alice)
    yield made
    made.close()


async def until(condition: Callable[[], Any], timeout: float = 20) -> None:
    async with asyncio.timeout(timeout):
        while not condition():  # noqa: ASYNC110 - tests observe from outside
            await asyncio.sleep(0.002)


async def test_a_message_arrives_with_the_key_of_its_sender_and_can_be_answered(pair: Pair) -> None:
    pair.connect().send(b"hello")
    await until(lambda: pair.at_router)
    (received,) = pair.at_router
    assert (received.sender, received.body) == (ALICE.public, b"hello")
    assert pair.router.send(received.route, b"answer")
    await until(lambda: pair.at_dealer)
    assert pair.at_dealer == [b"answer"]


async def test_a_key_that_is_not_authorized_gets_nowhere(pair: Pair) -> None:
    pair.connect(EVE).send(b"hello")
    pair.connect(ALICE).send(b"hello")
    await until(lambda: pair.at_router)
    await asyncio.sleep(0.1)
    assert [received.sender for received in pair.at_router] == [ALICE.public]


async def test_a_client_tries_again_when_nobody_could_say_whether_it_may() -> None:
    asked = 0

    async def unsure(key: str) -> bool:
        nonlocal asked
        asked += 1
        if asked == 1:
            raise ServiceUnavailable("later")
        return True

    pair = Pair(unsure)
    pair.connect().send(b"hello")
    await until(lambda: pair.at_router)
    pair.close()
    assert asked >= 2


async def test_a_hundred_thousand_messages_each_way_arrive_in_order(pair: Pair) -> None:
    count = 100_000
    numbers = [b"%d" % n for n in range(count)]

    def echo(got: list[Received]) -> None:
        for received in got:
            pair.at_router.append(received)
            unsent.append(received)
        flush()

    def flush() -> None:
        while unsent and pair.router.send(unsent[0].route, unsent[0].body):
            unsent.popleft()

    unsent: deque[Received] = deque()
    pair.receive = echo  # type: ignore[method-assign]
    dealer = pair.connect()
    for number in numbers:
        dealer.send(number)

    def all_there() -> bool:
        flush()
        return len(pair.at_dealer) == count

    await until(all_there, timeout=60)
    assert [received.body for received in pair.at_router] == numbers
    assert pair.at_dealer == numbers
    assert dealer.unsent == 0


async def test_messages_of_all_sizes_keep_their_order(pair: Pair) -> None:
    bodies = [bytes([n % 251]) * size for n, size in enumerate([0, 1, 65_535, 65_536, 3, 2_000_000, 1, 70_000] * 10)]
    dealer = pair.connect()
    for body in bodies:
        dealer.send(body)
    await until(lambda: len(pair.at_router) == len(bodies))
    assert [received.body for received in pair.at_router] == bodies


async def test_what_is_sent_before_the_peer_is_there_arrives_when_it_is(pair: Pair) -> None:
    port = pair.router.port
    pair.router.close()
    dealer = pair.connect()
    for n in range(20_000):  # more than the socket's own queue takes
        dealer.send(b"%d" % n)
    assert dealer.unsent > 0
    pair.router = pair.bind(port)
    await until(lambda: len(pair.at_router) == 20_000)
    assert [received.body for received in pair.at_router] == [b"%d" % n for n in range(20_000)]


async def test_a_dealer_is_told_when_its_connection_was_renewed(pair: Pair) -> None:
    dealer = pair.connect()
    dealer.send(b"first")
    await until(lambda: pair.at_router)
    assert pair.renewals == 0
    port = pair.router.port
    pair.router.close()
    await asyncio.sleep(0.05)
    pair.router = pair.bind(port)
    await until(lambda: pair.renewals == 1)
    dealer.send(b"second")
    await until(lambda: len(pair.at_router) == 2)
    assert pair.at_router[0].route != pair.at_router[1].route


async def test_sending_to_a_route_that_is_gone_says_so(pair: Pair) -> None:
    dealer = pair.connect()
    dealer.send(b"hello")
    await until(lambda: pair.at_router)
    route = pair.at_router[0].route
    assert not pair.router.send(b"nobody", b"?")
    dealer.close()
    await until(lambda: not pair.router.send(route, b"?"))


async def test_sending_to_a_route_that_is_gone_does_not_silence_others(pair: Pair) -> None:
    dealer = pair.connect()
    dealer.send(b"hello")
    await until(lambda: pair.at_router)
    for number in range(20):
        dealer.send(b"%d" % number)
        time.sleep(0.01)  # noqa: ASYNC251 - it arrives while the router's loop is busy
        assert not pair.router.send(b"nobody", b"?")
        await until(lambda: len(pair.at_router) == number + 2, timeout=5)  # noqa: B023 - awaited here


async def test_a_closed_socket_takes_and_gives_nothing(pair: Pair) -> None:
    dealer = pair.connect()
    dealer.send(b"hello")
    await until(lambda: pair.at_router)
    route = pair.at_router[0].route
    for _ in range(2):
        pair.router.close()
        dealer.close()
    assert pair.router.closed
    assert dealer.closed
    dealer.send(b"into the void")
    assert pair.router.send(route, b"?") is False


async def test_a_receiver_that_raises_does_not_silence_the_socket(pair: Pair) -> None:
    caught: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: caught.append(context["exception"]))

    def raise_once(got: list[Received]) -> None:
        pair.at_router += got
        if len(pair.at_router) == 1:
            raise RuntimeError("a defect")

    pair.receive = raise_once  # type: ignore[method-assign]
    dealer = pair.connect()
    dealer.send(b"one")
    await until(lambda: caught)
    dealer.send(b"two")
    await until(lambda: len(pair.at_router) == 2)


async def test_noise_on_the_port_does_not_disturb_others(pair: Pair) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", pair.router.port)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" + bytes(range(256)) * 50)
    await writer.drain()
    pair.connect().send(b"hello")
    await until(lambda: pair.at_router)
    writer.close()
    assert pair.at_router[0].body == b"hello"


async def test_a_port_in_use_is_a_config_error(pair: Pair) -> None:
    with pytest.raises(ConfigError, match=f"Port {pair.router.port} .* in use"):
        pair.bind(pair.router.port)


async def test_an_address_of_another_machine_is_a_config_error(pair: Pair) -> None:
    with pytest.raises(ConfigError, match="Cannot listen"):
        Router(pair.server_context, "192.0.2.1", 0, keys=SERVER, on_messages=lambda got: None)


def test_a_key_pair_is_kept_in_a_private_file(tmp_path: Path) -> None:
    path = tmp_path / "key"
    pair = KeyPair.load_or_create(path)
    assert KeyPair.load_or_create(path) == pair
    assert path.stat().st_mode & 0o777 == 0o600
    assert pair.secret not in repr(pair)


def test_a_file_that_is_no_key_pair_is_named(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.touch(mode=0o600)
    path.write_text("not a key")
    with pytest.raises(ConfigError, match=str(path)):
        KeyPair.load_or_create(path)


def test_a_key_pair_that_others_may_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key"
    KeyPair.load_or_create(path)
    path.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        KeyPair.load_or_create(path)
