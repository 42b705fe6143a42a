"""What every FuncxQueue must do. Another implementation joins by adding itself to QUEUES."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from funcx_core.errors import TryAgainLater
from funcx_core.protocol.handoff import More, ToForwarder
from funcx_core.queues import FuncxQueue, MemoryQueue, NotConnected
from tests.support.offers import A, B

LIMIT = 100
QUEUES: dict[str, Callable[[], FuncxQueue[ToForwarder]]] = {"memory": lambda: MemoryQueue(limit=LIMIT)}


@pytest.fixture(params=QUEUES)
async def queue(request: pytest.FixtureRequest) -> AsyncIterator[FuncxQueue[ToForwarder]]:
    made = QUEUES[request.param]()
    await made.connect()
    yield made
    await made.close()


@pytest.mark.parametrize("name", QUEUES)
async def test_nothing_works_before_connect(name: str) -> None:
    queue = QUEUES[name]()
    assert not queue.is_connected
    with pytest.raises(NotConnected):
        await queue.put("topic", [More(A)])
    with pytest.raises(NotConnected):
        await queue.get("topic", timeout=0.01)


async def test_messages_come_out_in_the_order_in_which_they_went_in(queue: FuncxQueue[ToForwarder]) -> None:
    assert await queue.put("topic", [More(A), More(B)])
    assert await queue.put("topic", [More(A)])
    assert await queue.get("topic") == [More(A), More(B), More(A)]


async def test_a_message_comes_out_once(queue: FuncxQueue[ToForwarder]) -> None:
    await queue.put("topic", [More(A)])
    assert await queue.get("topic") == [More(A)]
    assert await queue.get("topic", timeout=0.01) == []


async def test_topics_do_not_mix(queue: FuncxQueue[ToForwarder]) -> None:
    await queue.put("one", [More(A)])
    await queue.put("other", [More(B)])
    assert await queue.get("other") == [More(B)]
    assert await queue.get("one") == [More(A)]


async def test_get_takes_at_most_what_was_asked_for(queue: FuncxQueue[ToForwarder]) -> None:
    await queue.put("topic", [More(A)] * 5)
    assert [len(await queue.get("topic", at_most=2)) for _ in range(3)] == [2, 2, 1]


async def test_get_waits_for_a_message(queue: FuncxQueue[ToForwarder]) -> None:
    getting = asyncio.create_task(queue.get("topic"))
    await asyncio.sleep(0.01)
    assert not getting.done()
    await queue.put("topic", [More(A)])
    assert await asyncio.wait_for(getting, 1) == [More(A)]


async def test_a_cancelled_get_takes_nothing_with_it(queue: FuncxQueue[ToForwarder]) -> None:
    getting = asyncio.create_task(queue.get("topic"))
    await asyncio.sleep(0.01)
    getting.cancel()
    await asyncio.gather(getting, return_exceptions=True)
    await queue.put("topic", [More(A)])
    assert await queue.get("topic", timeout=1) == [More(A)]


async def test_a_full_topic_takes_nothing_and_says_so(queue: FuncxQueue[ToForwarder]) -> None:
    assert await queue.put("topic", [More(A)] * (LIMIT - 1))
    assert not await queue.put("topic", [More(B)] * 2)
    assert await queue.put("topic", [More(A)])
    got = await queue.get("topic", at_most=LIMIT)
    assert got == [More(A)] * LIMIT


async def test_connecting_twice_is_harmless(queue: FuncxQueue[ToForwarder]) -> None:
    await queue.put("topic", [More(A)])
    await queue.connect()
    assert queue.is_connected
    assert await queue.get("topic") == [More(A)]


async def test_closing_wakes_whoever_waits(queue: FuncxQueue[ToForwarder]) -> None:
    getting = [asyncio.create_task(queue.get("topic")) for _ in range(2)]
    await asyncio.sleep(0.01)
    await queue.close()
    assert not queue.is_connected
    ends = await asyncio.wait_for(asyncio.gather(*getting, return_exceptions=True), 1)
    assert [type(end) for end in ends] == [NotConnected, NotConnected]
    with pytest.raises(NotConnected):
        await queue.put("topic", [More(A)])


def test_not_being_connected_is_a_reason_to_try_again() -> None:
    error = NotConnected("topic")
    assert isinstance(error, TryAgainLater)
    assert "connect()" in str(error)
