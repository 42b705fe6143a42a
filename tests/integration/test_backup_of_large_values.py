"""Copies of a service that has large values, some of them on their way."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path
from typing import Any

from funcx_core.protocol.client import Limits
from funcx_core.service.backup import Backups
from tests.support.webservice import TestedService, a_service

CHUNK = 64 * 1024
LIMITS = Limits(blob_chunk=CHUNK)


async def begun(service: TestedService, content: bytes) -> dict[str, Any]:
    body = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    found: dict[str, Any] = await service.post("blobs", body)
    return found


async def send(service: TestedService, blob_id: str, content: bytes, *numbers: int) -> None:
    for number in numbers:
        part = content[number * CHUNK : (number + 1) * CHUNK]
        headers = {"X-Chunk-SHA256": hashlib.sha256(part).hexdigest()}
        response = await service.request("PUT", f"blobs/{blob_id}/chunks/{number}", raw=part, headers=headers)
        assert response.code < 300, response.body


async def complete(service: TestedService, blob_id: str) -> None:
    await service.post(f"blobs/{blob_id}/complete", {})


async def content_of(service: TestedService, blob_id: str, token: str) -> bytes:
    return (await service.request("GET", f"blobs/{blob_id}/content", token=token)).body


async def test_a_copy_has_whole_values_and_begins_the_others_anew(tmp_path: Path) -> None:
    whole, part = os.urandom(2 * CHUNK + 5), os.urandom(3 * CHUNK)
    async with a_service(tmp_path / "service", LIMITS) as service:
        there = (await begun(service, whole))["blob_id"]
        coming = (await begun(service, part))["blob_id"]
        await send(service, there, whole, 0, 1, 2)
        await complete(service, there)
        await send(service, coming, part, 0)
        copy = await Backups(tmp_path / "service").make(service.store, keep=1, now=time.time())
        token = service.alice
        await send(service, coming, part, 1, 2)
        await complete(service, coming)
        assert await content_of(service, coming, token) == part
        deleted = await service.request("DELETE", f"blobs/{there}")
        assert deleted.code < 300
    assert [path.name for path in (copy / "large").iterdir()] == [there]
    assert all(path.stat().st_mode & 0o077 == 0 for path in [copy, *copy.rglob("*")])

    async with a_service(copy, LIMITS) as restored:
        assert await content_of(restored, there, token) == whole
        restored.alice = token
        known = await restored.get(f"blobs/{coming}")
        assert (known["complete"], known["received"]) == (False, [])
        await send(restored, coming, part, 0, 1, 2)
        await complete(restored, coming)
        assert await content_of(restored, coming, token) == part
