"""Published clients, unmodified and each in an environment of its own, against a real service and a real endpoint.

``make conformance`` tries all of them. Otherwise only those marked as smoke are tried, if they can be installed.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from funcx_core.ids import UserId, new_endpoint_id
from funcx_core.service.auth.local import LocalTokens
from funcx_core.service.store import SqliteStore
from funcx_core.service.store.records import User
from tests.conformance.clients import CLIENTS, FEATURES, Client
from tests.conformance.environments import NotInstalled, interpreter
from tests.conformance.table import TABLE, Outcome
from tests.support.fabric import Fabric

SCRIPTS = Path(__file__).parent / "scripts"
ALL = os.environ.get("CONFORMANCE_CLIENTS") == "all"
TRIED = [client for client in CLIENTS if ALL or client.smoke]

pytestmark = [pytest.mark.conformance, pytest.mark.timeout(600), pytest.mark.xdist_group("conformance")]


@dataclass(frozen=True)
class Site:
    """A fabric, and what another user has there."""

    fabric: Fabric
    client_id: str
    client_secret: str
    private_function: str
    public_function: str

    @property
    def origin(self) -> str:
        return self.fabric.address.removesuffix("/v2")

    def registered_endpoint(self, name: str) -> str:
        """The id of an endpoint of the user's that has no agent."""
        endpoint_id = str(new_endpoint_id())
        self.fabric.client().register_endpoint(name, endpoint_id)
        return endpoint_id


def from_bob(x: object) -> str:
    return f"from bob: {x}"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with Fabric(tmp_path_factory.mktemp("published")) as fabric:
        private, public = asyncio.run(bobs_functions(fabric))
        made = fabric.cli("token", "--client", "--label", "conformance").stdout
        client_id, secret = (line.partition("=")[2] for line in made.splitlines())
        yield Site(fabric, client_id, secret, private, public)


async def bobs_functions(fabric: Fabric) -> tuple[str, str]:
    from funcx import FuncXClient

    async with SqliteStore(fabric.home / "service", is_guest=True) as store:
        bob = await store.ensure_user(User(UserId(str(new_endpoint_id())), "bob"))
        token = await LocalTokens(store).mint(bob, label="conformance")
    client = FuncXClient(funcx_service_address=fabric.address, token=token)
    return client.register_function(from_bob), client.register_function(from_bob, public=True)


@pytest.mark.parametrize("client", TRIED, ids=lambda client: client.name)
def test_a_published_client_works_unmodified(client: Client, site: Site, tmp_path: Path) -> None:
    outcomes = played(client, python_of(client), site, tmp_path)
    TABLE.add(client, outcomes)
    wrong = {
        name: outcomes[name].reason if name in outcomes else "not tried"
        for name in FEATURES
        if name not in client.cannot and not (name in outcomes and outcomes[name].works)
    }
    assert wrong == {}, "\n".join(f"{name}: {reason}" for name, reason in wrong.items())
    assert [name for name in client.cannot if name in outcomes and outcomes[name].works] == []


def python_of(client: Client) -> Path:
    try:
        return interpreter(client)
    except NotInstalled as error:
        if ALL:
            raise
        pytest.skip(f"{client.name} is not to be had here: {str(error).splitlines()[-1]}")


def played(client: Client, python: Path, site: Site, folder: Path) -> dict[str, Outcome]:
    """Run the script of a client; return how each feature went."""
    report = folder / "report.jsonl"
    given = {
        "report": str(report),
        "origin": site.origin,
        "address": f"{site.origin}{client.base}",
        "token": site.fabric.token,
        "client_id": site.client_id,
        "client_secret": site.client_secret,
        "endpoint": site.fabric.endpoint_id,
        "listed_endpoint": site.registered_endpoint(f"listed-{client.name}"),
        "private_function": site.private_function,
        "public_function": site.public_function,
    }
    (folder / ".globus.cfg").write_text(f"[environment default]\nauth_service = {site.origin}/\n")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("FUNCX_", "GLOBUS_", "PYTHON"))}
    done = subprocess.run(
        [str(python), str(SCRIPTS / "play.py"), client.script],
        env={
            **kept,
            "HOME": str(folder),
            "PATH": f"{python.parent}:{kept.get('PATH', '')}",
            "GLOBUS_SDK_SERVICE_URL_AUTH": f"{site.origin}/",
            "CONFORMANCE": json.dumps(given),
        },
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    lines: list[dict[str, Any]] = [json.loads(line) for line in report.read_text().splitlines()]
    return {line["feature"]: Outcome(line["works"], line["reason"]) for line in lines}
