"""An endpoint on a forwarder with no web service: the path for finding out on which side of it a fault is."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from funcx_core.fabric import leftovers
from tests.support.fabric import Fabric, eventually

CONFIG = """\
from funcx_endpoint.config import Config
from funcx_endpoint.executors import HighThroughputExecutor

config = Config(
    broker_address="{address}",
    broker_test=True,
    executors=[HighThroughputExecutor(max_workers_per_node=1, heartbeat_period=0.3, heartbeat_threshold=1.0)],
    heartbeat_period=0.3,
    heartbeat_threshold=1.0,
)
"""
MODULE = "funcx_core.fabric.direct_cli"


class Direct(Fabric):
    """A forwarder-service in place of the service."""

    def start_service(self, *flags: str, port: int = 0) -> None:
        with (self.home / "forwarder-service.out").open("ab") as output:
            self.service = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    MODULE,
                    f"--port={port}",
                    "--heartbeat-period=0.3",
                    "--heartbeat-threshold=1",
                    *flags,
                ],
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        eventually(lambda: self.file.exists() and self.announced["pid"] == self.service.pid, "it listens", timeout=20)

    @property
    def file(self) -> Path:
        return self.home / "forwarder-service.json"

    @property
    def announced(self) -> dict:
        return json.loads(self.file.read_bytes())

    def configure_endpoint(self, name: str, config: str | None = None) -> None:
        super().configure_endpoint(name, config or CONFIG.format(address=self.announced["address"]))

    def trial(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.run(MODULE, "test", *arguments, check=check)


@pytest.fixture
def direct(tmp_path: Path) -> Iterator[Direct]:
    with Direct(tmp_path / "home", workers=1) as direct:
        yield direct


def test_an_endpoint_works_without_a_web_service(direct: Direct) -> None:
    said = direct.trial().stdout
    assert "double(21) = 42" in said
    assert "fail(21) raised ValueError: 21 was refused, as it should be" in said
    assert stat.S_IMODE(direct.file.stat().st_mode) == 0o600
    wrong = direct.trial("--endpoint", "nobody", check=False)
    assert wrong.returncode == 2
    assert "No endpoint 'nobody'" in wrong.stderr

    workers = direct.pids("worker")
    port = direct.announced["address"].rsplit(":", 1)[1]
    direct.kill_service()
    direct.start_service("--debug", port=int(port))
    eventually(lambda: direct.trial(check=False).returncode == 0, "the endpoint is back", timeout=30, interval=0.5)
    assert direct.pids("worker") == workers

    os.kill(direct.service.pid, signal.SIGTERM)
    assert direct.service.wait(10) == 0
    assert not direct.file.exists()


def test_whoever_has_no_token_is_refused(tmp_path: Path) -> None:
    direct = Direct(tmp_path, endpoints=())
    with direct:
        found = direct.announced
        direct.file.write_text(json.dumps({**found, "token": "wrong"}))
        direct.file.chmod(0o600)
        refused = direct.trial(check=False)
        assert refused.returncode == 2
        assert "needs the token" in refused.stderr
        direct.file.write_text(json.dumps(found))
        assert "No endpoint registered" in direct.trial(check=False).stderr
    assert leftovers.processes(tmp_path) == []


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--address", "0.0.0.0"), "use a loopback address"),
        (("--heartbeat-period", "9", "--heartbeat-threshold", "3"), "must be longer"),
    ],
)
def test_what_is_not_safe_or_cannot_work_is_refused(tmp_path: Path, flags: tuple[str, ...], said: str) -> None:
    done = Fabric(tmp_path).run(MODULE, *flags, check=False)
    assert done.returncode == 2
    assert said in done.stderr


def test_an_endpoint_says_that_no_forwarder_service_runs(tmp_path: Path) -> None:
    fabric = Fabric(tmp_path)
    fabric.configure_endpoint("theta", CONFIG.format(address="http://127.0.0.1:50005"))
    done = fabric.endpoint_cli("start", "theta", check=False)
    assert done.returncode != 0
    assert "There is no forwarder-service at http://127.0.0.1:50005. Start it: forwarder-service" in done.stderr
