"""Inputs of cells on their way to a real service."""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from funcx_core.errors import BlobQuotaExceeded
from funcx_core.protocol.client import Limits
from funcx_core.sdk.settings import Settings
from funcx_core.sdk.transfer import Transfer
from funcx_jupyter.capture.names import NameUse
from funcx_jupyter.capture.values import Captured, Notebook, pack
from funcx_jupyter.errors import CellInterrupted, LargeInputError
from funcx_jupyter.session.staging import Staged, Staging
from tests.support.chaosproxy import ChaosProxy
from tests.support.webservice import TestedService, a_service

CHUNK = 64 * 1024
LIMITS = Limits(blob_chunk=CHUNK, max_blob_bytes=3_000_000)
RATE = 400_000.0


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[TestedService]:
    async with a_service(tmp_path, LIMITS) as service:
        yield service


def store_of(service: TestedService, port: int | None = None) -> Transfer:
    settings = Settings(service.web.address if port is None else f"http://127.0.0.1:{port}/v2", service.alice)
    return Transfer(lambda: settings)


def captured(**variables: object) -> Captured:
    return pack([NameUse(name, 1, required=True) for name in variables], Notebook(variables), exclude=())


class Told:
    """What is said of the staging; interrupts it as ■ does, if it is told to."""

    def __init__(self, *, interrupts: bool = False) -> None:
        self.notes: list[str] = []
        self._interrupts = interrupts

    def __call__(self, note: str) -> None:
        self.notes.append(note)
        if self._interrupts:
            raise KeyboardInterrupt


async def stage(staging: Staging, store: Transfer, cell: Captured, told: Told, seconds: float = math.inf) -> Staged:
    return await asyncio.to_thread(staging.stage, store, cell, LIMITS, endpoint="theta", seconds=seconds, tell=told)


async def test_an_interrupted_staging_ends_soon_and_goes_on_where_it_was(service: TestedService) -> None:
    cell, staging = captured(X=os.urandom(2_000_000)), Staging()
    with ChaosProxy(("127.0.0.1", int(service.web.address.split(":")[2].split("/")[0]))) as proxy:
        proxy.throttle(RATE)
        store = store_of(service, proxy.port)
        with pytest.raises(CellInterrupted):
            await stage(staging, store, cell, Told(interrupts=True))
        assert proxy.forwarded < 1_500_000
        proxy.pass_on()
        told = Told()
        staged = await stage(staging, store_of(service, proxy.port), cell, told)
        assert staged.cached == frozenset()
        assert proxy.forwarded < 3_500_000
        again = await stage(staging, store_of(service, proxy.port), cell, Told())
        assert (again.blobs, again.cached) == (staged.blobs, frozenset(cell.packed.parts))


async def test_a_slow_line_is_noticed_by_the_first_chunks(service: TestedService) -> None:
    cell, staging = captured(X=os.urandom(2_900_000)), Staging()
    with ChaosProxy(("127.0.0.1", int(service.web.address.split(":")[2].split("/")[0]))) as proxy:
        proxy.throttle(RATE)
        with pytest.raises(
            LargeInputError, match=r"`X` is 2\.9 MB; staging it will take about \d+ s at [\d.]+ [kM]B/s\. Use"
        ):
            await stage(staging, store_of(service, proxy.port), cell, Told(), seconds=0.1)
        assert staging.rate is not None


async def test_over_the_quota_is_told_in_one_line(service: TestedService) -> None:
    cell = captured(X=os.urandom(2_000_000), Y=os.urandom(2_000_000))
    with pytest.raises(BlobQuotaExceeded) as caught:
        await stage(Staging(), store_of(service), cell, Told())
    # Nothing is held back for what was not sent.
    assert await stage(Staging(), store_of(service), captured(Z=os.urandom(2_900_000)), Told())
    (line,) = caught.value._render_traceback_()  # type: ignore[attr-defined]
    assert line.startswith("BlobQuotaExceeded: ")
    assert "of large values are allowed per user" in line
