"""How a service process ends, and what it does by itself while it runs."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from funcx_core.errors import FuncxError, TaskExpired
from funcx_core.ids import new_endpoint_id
from funcx_core.sdk.client import FuncXClient
from tests.support.fabric import eventually

Service = tuple[subprocess.Popen[bytes], FuncXClient]
Start = Callable[..., Service]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    home = tmp_path / "home"
    home.mkdir()
    started: list[subprocess.Popen[bytes]] = []

    def start(**settings: str) -> Service:
        (home / "service.json").unlink(missing_ok=True)
        with (tmp_path / "out").open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "funcx_core.service.cli", "--port=0"],
                env={**os.environ, "FUNCX_HOME": str(home), **settings},
                stdout=output,
                stderr=output,
            )
        started.append(process)
        eventually((home / "service.json").exists, "the service writes service.json", timeout=30)
        address = json.loads((home / "service.json").read_bytes())["service_address"]
        token = json.loads((home / "credentials.json").read_bytes())[address]["token"]
        return process, FuncXClient(funcx_service_address=address, token=token)

    yield start
    for process in started:
        process.kill()
        process.wait()


def an_endpoint(client: FuncXClient) -> str:
    return str(
        client._web.post("endpoints", body={"endpoint_name": "x", "endpoint_uuid": new_endpoint_id()})["endpoint_id"]
    )


def double(x: int) -> int:
    return 2 * x


def test_a_stop_under_load_loses_nothing_that_was_accepted(start: Start) -> None:
    process, client = start()
    endpoint_id, function_id = an_endpoint(client), client.register_function(double)
    accepted: list[str] = []
    waiting = client.run(1, endpoint_id=endpoint_id, function_id=function_id)
    answers: list[object] = []

    def poll() -> None:
        answers.append(client._web.get("tasks", waiting, "events", query="timeout=50"))

    def submit() -> None:
        mine = FuncXClient(funcx_service_address=client.settings.service_address, token=client.settings.token)
        mine._web._tries = 1
        try:
            while True:
                accepted.append(mine.run(2, endpoint_id=endpoint_id, function_id=function_id))
        except FuncxError:
            return

    threads = [threading.Thread(target=work) for work in (poll, submit, submit)]
    for thread in threads:
        thread.start()
    eventually(lambda: len(accepted) > 10, "tasks are accepted", timeout=30)
    stopped_at = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert process.wait(15) == 0
    assert time.monotonic() - stopped_at < 10
    for thread in threads:
        thread.join(30)
    assert [answer["events"] for answer in answers] == [[]]  # type: ignore[index]

    _, again = start()
    found = again._web.post("batch_status", body={"task_ids": accepted})["results"]
    assert {each["status"] for each in found.values()} == {"waiting-for-ep"}


def half_a_request(client: FuncXClient) -> socket.socket:
    parts = urlsplit(client.settings.service_address)
    connection = socket.create_connection((parts.hostname, parts.port))
    head = f"POST /v2/functions HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {client.settings.token}\r\nContent-Length: 9\r\n\r\n"
    connection.sendall(head.encode())
    time.sleep(0.5)
    return connection


def test_a_request_that_never_comes_to_its_end_does_not_hold_up_the_stop(start: Start) -> None:
    process, client = start()
    with half_a_request(client):
        stopped_at = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 0
        assert time.monotonic() - stopped_at < 10


def test_a_second_signal_ends_it_at_once(start: Start) -> None:
    process, client = start()
    with half_a_request(client):
        process.send_signal(signal.SIGTERM)
        time.sleep(0.7)
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait(2) == 1


def test_a_task_that_waits_too_long_ends_as_expired_and_a_copy_is_made(start: Start, tmp_path: Path) -> None:
    _, client = start(FUNCX_SERVICE__RETENTION__TASK_EXPIRY=str(0.5 / 86400), FUNCX_SERVICE__RETENTION__EVERY="0.3")
    endpoint_id, function_id = an_endpoint(client), client.register_function(double)
    task_id = client.run(1, endpoint_id=endpoint_id, function_id=function_id)
    eventually(lambda: client.get_task(task_id)["status"] == "failed", "the task expires", timeout=30)
    with pytest.raises(TaskExpired):
        client.get_result(task_id)
    backups = tmp_path / "home" / "service" / "backups"
    eventually(lambda: list(backups.glob("*Z/funcx.db")), "a copy of the database")
