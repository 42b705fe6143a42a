"""A service that asks its clients for patience, and the client that keeps to it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from funcx import FuncXClient
from funcx.sdk.utils.throttling import MaxRequestsExceeded, MaxRequestSizeExceeded
from funcx_core.protocol.client import Limits, Throttle
from funcx_core.service import config_file
from tests.support.webservice import a_service


async def test_what_the_service_asks_for_is_kept_to(tmp_path):
    async with a_service(tmp_path, Limits(throttle=Throttle(requests=3, seconds=30, bytes=10_000))) as service:
        with FuncXClient(funcx_service_address=service.web.address, token=service.alice) as client:
            for _ in range(3):
                await asyncio.to_thread(client.get_endpoints)
            with pytest.raises(MaxRequestsExceeded, match="More than 3 requests in 30 s"):
                await asyncio.to_thread(client.get_endpoints)
            with pytest.raises(MaxRequestSizeExceeded, match="at most 10,000"):
                await asyncio.to_thread(client.register_function, _large())
            assert client.throttling_enabled is True
            client.throttling_enabled = False
            assert await asyncio.to_thread(client.get_endpoints) == []


async def test_a_service_that_asks_for_nothing_is_used_freely(tmp_path):
    async with a_service(tmp_path) as service:
        with FuncXClient(funcx_service_address=service.web.address, token=service.alice) as client:
            for _ in range(12):
                await asyncio.to_thread(client.get_endpoints)
            assert client.throttling_enabled is False


def test_a_site_asks_for_it_in_its_configuration(tmp_path):
    page = (Path(__file__).parents[2] / "docs" / "sdk.md").read_text()
    (tmp_path / "service.toml").write_text(page.split("```toml\n")[1].split("```")[0])
    assert config_file.load(tmp_path).limits.throttle == Throttle(requests=5, seconds=5.0, bytes=2 * 1024 * 1024)


def _large():
    text = "x" * 20_000
    return lambda: text
