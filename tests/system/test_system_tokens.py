"""``funcx token`` at a running fabric, and what it gives to a program."""

from __future__ import annotations

import json
import re

from tests.support.fabric import Fabric


def listed(fabric: Fabric) -> list[str]:
    return fabric.cli("token", "list").stdout.splitlines()


def test_tokens_are_made_listed_and_revoked(fabric):
    token = fabric.cli("token", "create", "--label", "for curl", "--days", "2", "--scope", "read").stdout.strip()
    (line,) = [line for line in listed(fabric) if "for curl" in line]
    assert re.search(r"expires \d{4}-\d\d-\d\d, not used +read$", line)
    assert token not in line
    token_id = line.split()[0]
    assert "Revoked the token" in fabric.cli("token", "revoke", token_id).stdout
    assert not any("for curl" in line for line in listed(fabric))
    again = fabric.cli("token", "revoke", token_id, check=False)
    assert again.returncode == 1
    assert "is visible to you" in again.stderr
    assert "this token" in "\n".join(listed(fabric))


def test_a_program_runs_tasks_by_id_and_secret_alone(fabric):
    pair = dict(line.split("=", 1) for line in fabric.cli("token", "--client", "--label", "night run").stdout.split())
    assert set(pair) == {"FUNCX_SDK_CLIENT_ID", "FUNCX_SDK_CLIENT_SECRET"}
    script = f"""
import os, sys
os.environ.update({pair!r})
from funcx import FuncXClient, FuncXExecutor
client = FuncXClient()
assert client.settings.token == "" and client.settings.authorizer is not None
with FuncXExecutor({fabric.endpoint_id!r}, funcx_client=client) as executor:
    print(executor.submit(pow, 2, 5).result(60), "globus_sdk" in sys.modules)
client.close()
"""
    done = fabric.script(script)
    assert (done.stdout.strip(), done.stderr) == ("32 False", "")
    assert any("token of a client" in line and "night run" in line for line in listed(fabric))
    assert "revoked its tokens" in fabric.cli("token", "revoke", pair["FUNCX_SDK_CLIENT_ID"]).stdout
    assert not any("night run" in line for line in listed(fabric))


def test_up_gives_a_new_token_in_place_of_one_that_was_forgotten(new_fabric):
    fabric = new_fabric()
    before = fabric.token
    fabric.cli("logout")
    assert json.loads((fabric.home / "credentials.json").read_bytes()) == {}
    fabric.cli("up")
    assert fabric.token != before
    assert fabric.client().get_endpoints()
