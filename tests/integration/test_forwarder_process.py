"""The forwarder with real sockets, a store in memory and endpoints reduced to their three channels."""

from __future__ import annotations

import asyncio
import pickle
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import zmq

from funcx_core.forwarder.config import ForwarderConfig
from funcx_core.forwarder.process import Forwarder
from funcx_core.ids import TaskId
from funcx_core.protocol.codec import encode
from funcx_core.protocol.endpoint import Attach, Refused, Register, Results
from funcx_core.protocol.handoff import (
    CancelRequested,
    Ended,
    EndpointChanged,
    FromForwarder,
    More,
    ToForwarder,
    forwarder_topic,
    outcomes_topic,
)
from funcx_core.protocol.task import Lease, TaskState
from funcx_core.queues import MemoryQueue
from funcx_core.transport.zmq import Dealer, KeyPair
from tests.support.fake_endpoint import FakeEndpoint
from tests.support.memory_store import MemoryStore
from tests.support.offers import FUNCTION, A, B, F, a_lease, a_result, an_offer, submitted

SERVER_KEYS = KeyPair.generate()
KEYS_A, KEYS_B = KeyPair.generate(), KeyPair.generate()


class Setting:
    """A store, two queues and a forwarder that can be restarted on the same ports."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.store.keys = {KEYS_A.public: A, KEYS_B.public: B}
        self.store.bodies = {F: FUNCTION}
        self.inbox: MemoryQueue[ToForwarder] = MemoryQueue()
        self.outbox: MemoryQueue[FromForwarder] = MemoryQueue(limit=100_000)
        self.outcomes: list[FromForwarder] = []
        self.ports = (0, 0, 0)
        self.sweep_period = 0.4

    async def start(self) -> None:
        tasks, results, commands = self.ports
        config = ForwarderConfig(
            tasks_port=tasks,
            results_port=results,
            commands_port=commands,
            heartbeat_period=0.1,
            heartbeat_threshold=0.6,
            sweep_period=self.sweep_period,
        )
        self.forwarder = Forwarder(config, keys=SERVER_KEYS, store=self.store, inbox=self.inbox, outbox=self.outbox)
        await self.forwarder.open()
        self.ports = (self.forwarder.tasks_port, self.forwarder.results_port, self.forwarder.commands_port)

    async def submit(self, *names: str, endpoint=A, **task: Any) -> None:
        message = submitted(*names, endpoint=endpoint, **task)
        self.store.accept(endpoint, message.offers)
        await self.inbox.put(forwarder_topic(), [message])

    async def cancel(self, *names: str) -> None:
        self.store.mark_cancelling([TaskId(name) for name in names])
        await self.inbox.put(forwarder_topic(), [CancelRequested(A, [TaskId(name) for name in names])])

    async def read_outcomes(self) -> None:
        while True:
            self.outcomes += await self.outbox.get(outcomes_topic())

    def ended(self) -> list[str]:
        return [result.task_id for message in self.outcomes if isinstance(message, Ended) for result in message.results]

    def all_ended(self) -> bool:
        return all(row.state.is_terminal for row in self.store.rows.values())


async def until(condition: Callable[[], Any], timeout: float = 10) -> None:
    async with asyncio.timeout(timeout):
        while not condition():  # noqa: ASYNC110 - tests observe from outside
            await asyncio.sleep(0.005)


@pytest.fixture
async def setting() -> AsyncIterator[Setting]:
    made = Setting()
    await made.inbox.connect()
    await made.outbox.connect()
    await made.start()
    reader = asyncio.get_running_loop().create_task(made.read_outcomes())
    yield made
    reader.cancel()
    await made.forwarder.close()
    await made.forwarder.wait()


@asynccontextmanager
async def an_endpoint(setting: Setting, **options: Any) -> AsyncIterator[FakeEndpoint]:
    options = {"endpoint_id": A, "keys": KEYS_A, **options}
    endpoint = FakeEndpoint(**options)
    await endpoint.connect(setting.ports, SERVER_KEYS.public)
    try:
        yield endpoint
    finally:
        await endpoint.close()


async def test_tasks_travel_to_the_endpoint_and_results_back(setting: Setting) -> None:
    async with an_endpoint(setting) as endpoint:
        await setting.submit(*(f"t{n}" for n in range(1000)))
        await until(lambda: len(setting.ended()) == 1000)
        await until(setting.all_ended)
        await until(lambda: not endpoint.unacknowledged)
    assert sorted(setting.ended()) == sorted(f"t{n}" for n in range(1000))
    assert endpoint.functions == {F: b"body of f"}
    assert setting.forwarder.counters.late_results == 0


async def test_tasks_submitted_before_the_endpoint_came_are_read_from_the_store_in_order(setting: Setting) -> None:
    names = [f"t{n:05}" for n in range(3000)]
    await setting.submit(*names)
    async with an_endpoint(setting) as endpoint:
        await until(setting.all_ended)
        assert [lease.task_id for lease in endpoint.started] == names


async def test_tasks_that_were_never_handed_over_are_found_by_the_sweep(setting: Setting) -> None:
    async with an_endpoint(setting) as endpoint:
        await until(lambda: setting.store.online.get(A))
        setting.store.accept(A, [an_offer("lost-in-the-queue")])
        await until(lambda: endpoint.started)
    assert endpoint.started == [a_lease("lost-in-the-queue")]


async def test_more_makes_the_forwarder_look_into_the_store_at_once(setting: Setting) -> None:
    await setting.forwarder.close()
    setting.sweep_period = 3600
    await setting.start()
    async with an_endpoint(setting) as endpoint:
        await setting.submit("t0")
        await until(setting.all_ended)  # From now on the store is looked into for a reason, or not at all.
        setting.store.accept(A, [an_offer("t1")])
        await setting.inbox.put(forwarder_topic(), [More(A)])
        await until(lambda: a_lease("t1") in endpoint.started)


async def test_large_payloads_travel(setting: Setting) -> None:
    async with an_endpoint(setting):
        await setting.submit("t1", "t2", "t3", payload=bytes(5_000_000))
        await until(setting.all_ended)
    result = setting.store.rows[TaskId("t3")].result
    assert result is not None
    assert result.value == bytes(5_000_000)


async def test_a_result_is_published_at_once_and_acknowledged_after_the_commit(setting: Setting) -> None:
    async with an_endpoint(setting) as endpoint:
        await setting.submit("t0")
        await until(setting.all_ended)
        await setting.submit("t1", "t2")
        setting.store.broken = True
        await until(lambda: len(setting.ended()) == 3)
        await asyncio.sleep(0.1)
        assert set(endpoint.unacknowledged) == {a_lease("t1"), a_lease("t2")}
        setting.store.broken = False
        await until(lambda: not endpoint.unacknowledged)
    assert setting.all_ended()
    assert setting.forwarder.counters.commit_failures > 0


async def test_going_on_and_offline_is_recorded_and_published(setting: Setting) -> None:
    async with an_endpoint(setting) as endpoint:
        await until(lambda: setting.store.online.get(A) is True)
        await until(lambda: getattr(setting.store.seen.get(A), "workers", 0) == 2)
        endpoint._beating.cancel()
        await until(lambda: setting.store.online.get(A) is False, timeout=3)
        endpoint._beating = asyncio.get_running_loop().create_task(endpoint._beat())
        await until(lambda: setting.store.online.get(A) is True, timeout=3)
    changes = [message.online for message in setting.outcomes if isinstance(message, EndpointChanged)]
    assert changes == [True, False, True]


async def test_a_pending_task_is_cancelled_at_once_and_a_running_one_by_its_endpoint(setting: Setting) -> None:
    async with an_endpoint(setting, runs=False, window=1) as endpoint:
        await setting.submit("runs", "waits")
        await until(lambda: endpoint.held)
        await setting.cancel("waits")
        await until(lambda: setting.store.rows[TaskId("waits")].state is TaskState.CANCELLED)
        assert list(endpoint.held) == [a_lease("runs")]
        await setting.cancel("runs")
        await until(setting.all_ended)
    assert setting.store.rows[TaskId("runs")].state is TaskState.CANCELLED


async def test_cancel_works_without_an_endpoint(setting: Setting) -> None:
    await setting.submit("t1", "t2")
    await setting.cancel("t1")
    await until(lambda: setting.store.rows[TaskId("t1")].state is TaskState.CANCELLED)
    assert setting.store.rows[TaskId("t2")].is_open
    assert setting.ended() == ["t1"]


async def test_a_restarted_forwarder_learns_from_the_endpoints_what_they_hold(setting: Setting) -> None:
    """F09"""
    async with an_endpoint(setting, runs=False, window=10) as endpoint:
        await setting.submit(*(f"t{n}" for n in range(20)))
        await until(lambda: len(endpoint.held) == 10)
        held = list(endpoint.held)
        await setting.forwarder.close()
        await setting.start()
        await until(lambda: setting.forwarder.counters.registrations > 0)
        endpoint.finish(held)
        endpoint.runs = True
        await until(setting.all_ended)
    assert sorted(lease.task_id for lease in endpoint.started) == sorted(f"t{n}" for n in range(20))
    assert {lease.attempt for lease in endpoint.started} == {1}


async def test_results_sent_while_no_forwarder_runs_arrive_later(setting: Setting) -> None:
    """F09"""
    async with an_endpoint(setting, runs=False) as endpoint:
        await setting.submit("t1", "t2")
        await until(lambda: len(endpoint.held) == 2)
        await setting.forwarder.close()
        endpoint.finish(list(endpoint.held))
        await asyncio.sleep(0.2)
        await setting.start()
        await until(setting.all_ended)
        await until(lambda: not endpoint.unacknowledged)
    assert setting.store.rows[TaskId("t1")].attempt == 1


async def test_given_back_tasks_are_leased_again_with_a_higher_attempt(setting: Setting) -> None:
    async with an_endpoint(setting, runs=False) as endpoint:
        await setting.submit("t1")
        await until(lambda: endpoint.held)
        endpoint.give_back(unstarted=[a_lease("t1")])
        await until(lambda: a_lease("t1", 2) in endpoint.held)
        endpoint.give_back(lost=[a_lease("t1", 2)], reason="worker_lost", details={"signal": 9})
        await until(setting.all_ended)
    result = setting.store.rows[TaskId("t1")].result
    assert result is not None
    assert result.error is not None
    assert (result.error.code, result.error.details["signal"]) == ("worker_lost", 9)


async def test_a_newer_agent_supersedes_the_older_one(setting: Setting) -> None:
    """F17"""
    async with (
        an_endpoint(setting, runs=False, epoch=1) as old,
        an_endpoint(setting, runs=False, epoch=2) as new,
    ):
        await until(lambda: any(getattr(command, "code", "") == "superseded" for command in old.commands))
        await setting.submit("t1")
        await until(lambda: new.held)
        assert not old.held


async def test_an_endpoint_with_a_key_of_its_own_gets_and_ends_no_tasks_of_another(setting: Setting) -> None:
    async with (
        an_endpoint(setting, runs=False) as victim,
        an_endpoint(setting, endpoint_id=B, keys=KEYS_B) as impostor,
    ):
        await setting.submit("t1")
        await until(lambda: victim.held)
        impostor.results.send(encode(Results([a_result("t1", value=b"forged")])))
        impostor.command_channel.send(encode(Register(endpoint_id=A, epoch=99, window=10, heartbeat_period=1.0)))
        await until(lambda: any(isinstance(command, Refused) for command in impostor.commands))
        impostor.tasks.send(encode(Attach(1)))
        await setting.submit("t2")
        await until(lambda: len(victim.held) == 2)
        victim.finish(list(victim.held))
        await until(setting.all_ended)
    assert impostor.started == []
    result = setting.store.rows[TaskId("t1")].result
    assert result is not None
    assert result.value == b"payload"
    assert setting.forwarder.counters.foreign_messages > 0


async def test_an_impostor_that_claims_the_routing_id_of_another_gets_nothing(setting: Setting) -> None:
    context: zmq.Context[Any] = zmq.Context()
    got: list[bytes] = []
    thief = Dealer(
        context,
        f"tcp://127.0.0.1:{setting.ports[0]}",
        server_key=SERVER_KEYS.public,
        keys=KEYS_B,
        on_messages=got.extend,
    )
    async with an_endpoint(setting, runs=False) as victim:
        for epoch in range(3):
            thief.send(encode(Attach(epoch)))
        await until(lambda: setting.forwarder.counters.foreign_messages >= 3)
        await setting.submit("t1")
        await until(lambda: victim.held)
    thief.close()
    context.term()
    assert got == []


async def test_an_unknown_key_cannot_connect(setting: Setting) -> None:
    context: zmq.Context[Any] = zmq.Context()
    stranger = Dealer(
        context,
        f"tcp://127.0.0.1:{setting.ports[2]}",
        server_key=SERVER_KEYS.public,
        keys=KeyPair.generate(),
        on_messages=lambda bodies: None,
    )
    stranger.send(encode(Register(endpoint_id=A, epoch=1, window=1, heartbeat_period=1.0)))
    await until(lambda: setting.forwarder.counters.foreign_messages > 0)
    await asyncio.sleep(0.1)
    stranger.close()
    context.term()
    assert setting.forwarder.counters.registrations == 0


class Canary:
    """Its pickle calls `open` in whoever unpickles it."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (self.path, "w")


async def test_garbage_on_every_channel_is_dropped_and_the_peer_lives_on(setting: Setting, tmp_path: Any) -> None:
    """F28"""
    canary = tmp_path / "canary"
    garbage = [b"", b"\xc1", b"\xff" * 1000, b"\x93" * 100_000, pickle.dumps(Canary(str(canary)))]
    async with an_endpoint(setting) as endpoint:
        for channel in (endpoint.tasks, endpoint.results, endpoint.command_channel):
            for body in garbage:
                channel.send(body)
        await until(lambda: setting.forwarder.counters.protocol_errors == 15)
        await setting.submit("t1")
        await until(setting.all_ended)
    assert not canary.exists()


async def test_bytes_that_are_not_even_zmq_do_no_harm(setting: Setting) -> None:
    for port in setting.ports:
        for noise in (b"GET / HTTP/1.1\r\n\r\n", bytes(range(256)) * 10, b"\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f"):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(noise)
            await writer.drain()
            writer.close()
    async with an_endpoint(setting):
        await setting.submit("t1")
        await until(setting.all_ended)


async def test_a_function_without_a_body_anywhere_fails_its_tasks_only(setting: Setting) -> None:
    async with an_endpoint(setting):
        await setting.submit("t1", function="no-such-function")
        await setting.submit("t2")
        await until(setting.all_ended)
    result = setting.store.rows[TaskId("t1")].result
    assert result is not None
    assert result.error is not None
    assert result.error.code == "function_load_error"
    assert setting.store.rows[TaskId("t2")].state is TaskState.SUCCESS


async def test_a_deleted_endpoint_is_refused_when_it_registers_again(setting: Setting) -> None:
    async with an_endpoint(setting) as endpoint:
        del setting.store.keys[KEYS_A.public]
        endpoint.register()
        await until(lambda: any(getattr(command, "code", "") == "unknown_endpoint" for command in endpoint.commands))


async def test_a_port_in_use_is_a_clear_error(setting: Setting) -> None:
    from funcx_core.errors import ConfigError

    second = Forwarder(
        ForwarderConfig(tasks_port=setting.ports[0]),
        keys=SERVER_KEYS,
        store=setting.store,
        inbox=setting.inbox,
        outbox=setting.outbox,
    )
    with pytest.raises(ConfigError, match="in use"):
        await second.open()
    await second.close()


async def test_a_defect_ends_the_forwarder_and_reaches_whoever_waits(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F37"""

    def defect(*_: Any, **__: Any) -> Any:
        raise RuntimeError("a defect")

    monkeypatch.setattr(setting.forwarder._state, "tick", defect)
    with pytest.raises(RuntimeError, match="a defect"):
        async with asyncio.timeout(5):
            await setting.forwarder.wait()
    setting.forwarder._ended = asyncio.get_running_loop().create_future()


async def test_many_tasks_are_forwarded_at_a_bounded_price(setting: Setting) -> None:
    names = [f"t{n}" for n in range(20_000)]
    async with an_endpoint(setting, window=2000):
        began = time.process_time()
        for start in range(0, len(names), 500):
            await setting.submit(*names[start : start + 500])
        await until(setting.all_ended, timeout=30)
        spent = time.process_time() - began
    assert spent / len(names) < 200e-6  # generous: the fake endpoint and the fake store are in it


def test_leases_compare_by_value() -> None:
    assert Lease(TaskId("t"), 1) == a_lease("t")
