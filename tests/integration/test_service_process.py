"""``funcx-service`` as a process."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {**os.environ, "FUNCX_HOME": str(tmp_path / "home")}


@pytest.fixture
def start(tmp_path: Path, environment: dict[str, str]) -> Iterator[Start]:
    started: list[subprocess.Popen[str]] = []

    def start(*flags: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "funcx_core.service.cli", *(flags or ("--port=0",))]
        process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def announced(tmp_path: Path, process: subprocess.Popen[str]) -> dict[str, Any]:
    path = tmp_path / "home" / "service.json"
    deadline = time.monotonic() + 30
    while not path.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return json.loads(path.read_text())


def fetch(address: str, token: str = "", method: str = "GET") -> tuple[int, Any]:
    request = urllib.request.Request(address, headers={"Authorization": f"Bearer {token}"}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def test_a_service_announces_itself_serves_and_stops(tmp_path: Path, start: Start) -> None:
    process = start("--port=0", f"--ready-file={tmp_path / 'ready'}")
    found = announced(tmp_path, process)
    address = found["service_address"]
    assert found["pid"] == process.pid
    assert set(found["forwarder"]) == {"public_ip", "tasks_port", "results_port", "commands_port"}
    assert fetch(f"{address}/health")[0] == 200
    credentials = tmp_path / "home" / "credentials.json"
    token = json.loads(credentials.read_text())[address]["token"]
    assert fetch(f"{address}/endpoints", token) == (200, [])
    for path in (tmp_path / "home").rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=10)
    assert process.returncode == 0, errors
    assert "Traceback" not in errors
    assert not (tmp_path / "home" / "service.json").exists()
    assert (tmp_path / "ready").read_text() == f"{address}\n"
    log = (tmp_path / "home" / "service" / "service.log").read_text()
    assert token not in log + errors


def test_a_restart_has_the_same_ports_and_takes_the_same_token(tmp_path: Path, start: Start) -> None:
    process = start()
    first = announced(tmp_path, process)
    credentials = (tmp_path / "home" / "credentials.json").read_text()
    process.kill()  # no time to remove service.json
    process.wait()
    (tmp_path / "home" / "service.json").unlink()
    second = announced(tmp_path, start())
    assert {**second, "pid": 0} == {**first, "pid": 0}
    assert (tmp_path / "home" / "credentials.json").read_text() == credentials


def test_a_second_service_in_the_same_folder_is_refused(tmp_path: Path, start: Start) -> None:
    process = start()
    announced(tmp_path, process)
    second = start()
    _, errors = second.communicate(timeout=20)
    assert second.returncode == 2
    assert errors.strip().splitlines() == [errors.strip()]
    assert str(process.pid) in errors
    assert "funcx status" in errors
    assert announced(tmp_path, process)["pid"] == process.pid


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (["--host=0.0.0.0"], "without TLS"),
        (["--port=70000"], "70000 is not a port"),
        (["--heartbeat-period=5", "--heartbeat-threshold=1"], "must be longer"),
        (["--forwarder-ports=1,2"], "three numbers"),
    ],
)
def test_flags_that_cannot_work_are_refused_in_one_sentence(start: Start, flags: list[str], text: str) -> None:
    process = start(*flags)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 2
    assert text in errors
    assert "Traceback" not in errors


def test_a_port_in_use_is_named(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = start(f"--port={port}")
        _, errors = process.communicate(timeout=20)
    assert process.returncode == 2
    assert f"127.0.0.1:{port}" in errors
    assert "Traceback" not in errors


def test_a_damaged_database_is_refused_in_one_sentence(tmp_path: Path, start: Start) -> None:
    """F11"""
    folder = tmp_path / "home" / "service"
    folder.mkdir(parents=True, mode=0o700)
    (folder / "funcx.db").write_bytes(b"no database" * 1000)
    process = start()
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 2
    assert "funcx.db cannot be used" in errors
    assert "Traceback" not in errors


def test_another_token_is_made_while_the_service_runs(
    tmp_path: Path, start: Start, environment: dict[str, str]
) -> None:
    address = announced(tmp_path, start())["service_address"]
    command = [sys.executable, "-m", "funcx_core.service.cli", "token", "--label=curl"]
    made = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=True)
    assert fetch(f"{address}/limits", made.stdout.strip())[0] == 200


def test_another_user_has_tokens_and_things_of_their_own(
    tmp_path: Path, start: Start, environment: dict[str, str]
) -> None:
    found = announced(tmp_path, start())
    address = found["service_address"]
    mine = json.loads((tmp_path / "home" / "credentials.json").read_text())[address]["token"]
    command = [sys.executable, "-m", "funcx_core.fabric.cli", "token", "--user"]
    tokens = [
        subprocess.run([*command, "carol"], env=environment, capture_output=True, text=True, timeout=30, check=True)
        for _ in range(2)
    ]
    body = json.dumps({"endpoint_name": "theirs"}).encode()
    request = urllib.request.Request(
        f"{address}/endpoints", data=body, headers={"Authorization": f"Bearer {tokens[0].stdout.strip()}"}
    )
    urllib.request.urlopen(request, timeout=10).close()
    assert len(fetch(f"{address}/endpoints", tokens[1].stdout.strip())[1]) == 1  # the same user
    assert fetch(f"{address}/endpoints", mine) == (200, [])
    refused = subprocess.run(
        [*command, "a b"], env=environment, capture_output=True, text=True, timeout=30, check=False
    )
    assert refused.returncode == 1
    assert "cannot be a user's name" in refused.stderr
    assert "Traceback" not in refused.stderr
