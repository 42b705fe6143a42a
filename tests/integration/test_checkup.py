"""What a doctor finds out about a service: a real one, and one that is not there."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace

import pytest

from funcx_core import __version__
from funcx_core.sdk import checkup
from funcx_core.sdk.checkup import Finding, examine_service
from funcx_core.sdk.settings import save_credentials
from tests.support.webservice import a_service


@pytest.fixture
async def service(tmp_path, monkeypatch):
    async with a_service(tmp_path / "service") as running:
        monkeypatch.setenv("FUNCX_SERVICE_ADDRESS", running.web.address)
        yield running


async def examined():
    return {finding.name: finding for finding in await asyncio.to_thread(examine_service)}


async def test_all_is_well(service):
    save_credentials(service.web.address, service.alice)
    found = await examined()
    assert list(found) == ["address", "version", "sign-in", "clock"]
    assert not any(finding.fix for finding in found.values())
    assert found["address"].found.startswith(f"{service.web.address} answers in ")
    assert found["version"].found == f"this is {__version__}, the service {__version__}"
    assert found["sign-in"].found == "you are alice"
    assert found["clock"].found == "agrees with the service's"


async def test_nobody_is_signed_in(service):
    assert (await examined())["sign-in"].fix == "Run: funcx login"
    save_credentials(service.web.address, "fxt_wrong")
    assert (await examined())["sign-in"].found.startswith("This token is not known here")


async def test_the_clock_is_wrong(service, monkeypatch):
    ours = SimpleNamespace(time=lambda: time.time() - 600, monotonic=time.monotonic)
    monkeypatch.setattr(checkup, "time", ours)  # The service's clock stays.
    clock = (await examined())["clock"]
    assert clock.found.startswith("the service's is ")
    assert clock.found.endswith(" s ahead of this one")
    assert clock.fix


def test_nothing_is_configured():
    (only,) = examine_service()
    assert (only.name, only.found) == ("address", "no service is configured")
    assert "funcx up" in only.fix


def test_nobody_answers(monkeypatch):
    monkeypatch.setenv("FUNCX_SERVICE_ADDRESS", "http://127.0.0.1:9")
    (only,) = examine_service()
    assert isinstance(only, Finding)
    assert "http://127.0.0.1:9/v2" in only.found
    assert only.fix.startswith("Is the address right")
