"""The service does not know the token any more, while tasks run: what was submitted is not lost."""

from __future__ import annotations

import asyncio
import logging

import pytest

from funcx_core.errors import AuthRequired
from funcx_core.protocol.task import TaskResult, TaskState
from funcx_core.sdk.client import FuncXClient
from funcx_core.sdk.executor import FuncXExecutor
from funcx_core.sdk.settings import save_credentials
from funcx_core.serialize import pack_value
from funcx_core.service.handlers import signed_in
from tests.support.fabric import eventually
from tests.support.stored import ALICE
from tests.support.webservice import a_service


def double(number):
    return 2 * number


@pytest.fixture
async def service(tmp_path, monkeypatch):
    monkeypatch.setattr(signed_in, "LOOK_EVERY", 0.1)
    async with a_service(tmp_path / "service") as running:
        monkeypatch.setenv("FUNCX_SERVICE_ADDRESS", running.web.address)
        yield running


async def let_end(service, endpoint_id, offers, value):
    for endpoint, offer in offers:
        assert endpoint == endpoint_id
        task = offer.task
        result = TaskResult(task.task_id, task.attempt, TaskState.SUCCESS, pack_value(value))
        await service.end(endpoint_id, offer, result)


async def test_futures_go_on_after_another_sign_in(service, caplog):
    endpoint_id = await service.an_endpoint()
    old = await service.tokens.mint(ALICE, label="old")
    save_credentials(service.web.address, old)
    client = await asyncio.to_thread(FuncXClient)
    executor = await asyncio.to_thread(FuncXExecutor, endpoint_id, funcx_client=client)
    try:
        before = await asyncio.to_thread(executor.submit, double, 21)
        offers = await service.offers(1)
        with caplog.at_level(logging.WARNING, "funcx"):
            await service.tokens.revoke(ALICE, old)
            await asyncio.to_thread(eventually, lambda: "Sign in again: `funcx login`" in caplog.text, "it is said")
        meanwhile = await asyncio.to_thread(executor.submit, double, 21)
        await asyncio.sleep(1.2)  # The file is looked at, and has the old token still.
        assert not before.done()
        assert caplog.text.count("Sign in again") == 1
        save_credentials(service.web.address, await service.tokens.mint(ALICE, label="new"))
        offers += await service.offers(1)
        await let_end(service, endpoint_id, offers, 42)
        for future in (before, meanwhile):
            assert await asyncio.to_thread(future.result, 20) == 42
        # Questions by HTTP find the new token, too.
        assert [row["uuid"] for row in await asyncio.to_thread(client.get_endpoints)] == [endpoint_id]
    finally:
        await asyncio.to_thread(executor.shutdown)


async def test_a_submit_that_is_refused_is_sent_again(service, monkeypatch):
    """It comes before anybody has looked whether the token is good still."""
    monkeypatch.setattr(signed_in, "LOOK_EVERY", 60.0)
    endpoint_id = await service.an_endpoint()
    old = await service.tokens.mint(ALICE, label="old")
    save_credentials(service.web.address, old)
    client = await asyncio.to_thread(FuncXClient)
    executor = await asyncio.to_thread(FuncXExecutor, endpoint_id, funcx_client=client)
    try:
        first = await asyncio.to_thread(executor.submit, double, 21)
        await let_end(service, endpoint_id, await service.offers(1), 42)
        assert await asyncio.to_thread(first.result, 20) == 42
        await service.tokens.revoke(ALICE, old)
        refused = await asyncio.to_thread(executor.submit, double, 4)
        await asyncio.sleep(0.3)
        save_credentials(service.web.address, await service.tokens.mint(ALICE, label="new"))
        await let_end(service, endpoint_id, await service.offers(1), 8)
        assert await asyncio.to_thread(refused.result, 20) == 8
    finally:
        await asyncio.to_thread(executor.shutdown)


async def test_a_token_that_was_given_cannot_change_so_its_futures_say_what_to_do(service):
    endpoint_id = await service.an_endpoint()
    given = await service.tokens.mint(ALICE, label="given", lifetime=1.5)
    client = await asyncio.to_thread(FuncXClient, token=given)
    executor = await asyncio.to_thread(FuncXExecutor, endpoint_id, funcx_client=client)
    future = await asyncio.to_thread(executor.submit, double, 21)
    offers = await service.offers(1)
    with pytest.raises(AuthRequired, match=r"This token expired on .* What was submitted goes on") as raised:
        await asyncio.to_thread(future.result, 20)
    assert raised.value.expired_at is not None
    await let_end(service, endpoint_id, offers, 42)
    with pytest.raises(AuthRequired):
        await asyncio.to_thread(executor.submit, double, 1)
    another = await asyncio.to_thread(FuncXClient, token=service.alice)
    assert await asyncio.to_thread(another.get_result, future.task_id) == 42
    await asyncio.to_thread(executor.shutdown)
