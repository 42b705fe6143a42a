"""``SIGHUP``: a real service takes other settings while it runs."""

from __future__ import annotations

import asyncio
import json
import signal
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from tornado.httpclient import HTTPRequest
from tornado.websocket import websocket_connect

from funcx_core.protocol.client import Welcome, to_client
from tests.support.fabric import Fabric, eventually
from tests.support.fake_hub import FakeHub

BEFORE = "[limits]\nmax_batch = 10\n"
AFTER = """
[limits]
max_batch = 7
[listen]
allowed_hosts = ["funcx.lab"]
[metrics]
enabled = false
[auth.jupyterhub]
api_url = "{api_url}"
"""


class Site:
    """A service whose settings are in a file."""

    def __init__(self, fabric: Fabric, file: Path) -> None:
        self.fabric = fabric
        self.file = file
        self.log = fabric.home / "service" / "service.log"

    def reload(self, text: str) -> None:
        self.file.write_text(text)
        assert self.fabric.service is not None
        self.fabric.service.send_signal(signal.SIGHUP)

    def said(self, message: str) -> bool:
        return any(message in json.loads(line)["message"] for line in self.log.read_text().splitlines())

    def ask(self, path: str, *, token: str = "", host: str = "") -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {token or self.fabric.token}", **({"Host": host} if host else {})}
        try:
            with urllib.request.urlopen(
                urllib.request.Request(f"{self.fabric.address}/{path}", headers=headers), timeout=10
            ) as reply:
                return reply.status, json.load(reply)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)


@pytest.fixture
def site(tmp_path):
    file = tmp_path / "service.toml"
    file.write_text(BEFORE)
    with Fabric(tmp_path / "home", service_flags=(f"--config={file}",), endpoints=()) as fabric:
        yield Site(fabric, file)


async def test_limits_hosts_and_who_may_sign_in_change_at_once(site):
    async with FakeHub() as hub:
        ada = hub.token_of("ada", "access:services!service=funcx")
        stream = await websocket_connect(
            HTTPRequest(
                site.fabric.address.replace("http", "ws") + "/stream",
                headers={"Authorization": f"Bearer {site.fabric.token}"},
            )
        )
        welcome = to_client.decode(await stream.read_message())
        assert (type(welcome), welcome.limits.max_batch) == (Welcome, 10)
        assert (await asyncio.to_thread(site.ask, "endpoints", token=ada))[0] == 401
        assert (await asyncio.to_thread(site.ask, "health", host="funcx.lab"))[0] == 403

        await asyncio.to_thread(site.reload, AFTER.format(api_url=hub.api_url))
        changed = "changed: listen.allowed_hosts, limits.max_batch, auth.jupyterhub"
        await asyncio.to_thread(eventually, lambda: site.said(changed), "the settings are read")
        assert site.said("these count from the next start on: metrics.enabled")
        assert to_client.decode(await stream.read_message()).limits.max_batch == 7
        assert (await asyncio.to_thread(site.ask, "limits"))[1]["max_batch"] == 7
        assert (await asyncio.to_thread(site.ask, "health", host="funcx.lab"))[0] == 200
        assert await asyncio.to_thread(site.ask, "endpoints", token=ada) == (200, [])

        await asyncio.to_thread(site.reload, "[limits]\nmax_batsch = 7\n")
        await asyncio.to_thread(eventually, lambda: site.said("the old ones count"), "they are refused")
        assert await asyncio.to_thread(site.ask, "endpoints", token=ada) == (200, [])

        await asyncio.to_thread(site.reload, BEFORE)
        await asyncio.to_thread(eventually, lambda: site.ask("endpoints", token=ada)[0] == 401, "the Hub is not asked")
        assert (await asyncio.to_thread(site.ask, "endpoints"))[0] == 200
        stream.close()
