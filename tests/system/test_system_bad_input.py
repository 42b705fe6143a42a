"""What does not belong on a socket, in a file or on a port: one clear error, and nothing accepted is lost."""

import contextlib
import json
import os
import random
import socket

import pytest

from funcx_core.fabric import leftovers
from tests.support.fabric import Fabric, eventually


def square(number):
    return number * number


def garbage(seed: int) -> list[bytes]:
    """Bytes that no peer of ours sends: noise, half a protocol, the wrong protocol."""
    noise = random.Random(seed)
    zmq_greeting = b"\xff" + b"\x00" * 8 + b"\x7f\x03\x00CURVE" + b"\x00" * 47
    return [
        b"\x00" * 2000,
        noise.randbytes(4096),
        zmq_greeting + noise.randbytes(300),
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"GET /v2/stream HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        b"POST /v2/submit HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 999999999999\r\n\r\n",
        b"POST /v2/submit HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: nonsense\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ]


@pytest.mark.xdist_group("own-fabric")
def test_garbage_on_every_socket_hurts_nobody(fresh_fabric):
    ports = leftovers.listening_ports({found.pid for found in fresh_fabric.processes()})
    assert len(ports) >= 5, "HTTP, three channels of the forwarder, the interchange"
    before = sorted(fresh_fabric.pids("service") + fresh_fabric.pids("agent") + fresh_fabric.pids("manager"))
    with fresh_fabric.executor() as executor:
        futures = [executor.submit(square, number) for number in range(200)]
        for number, port in enumerate(sorted(ports)):
            for content in garbage(number):
                with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
                    connection.sendall(content)
                    connection.settimeout(0.05)
                    with contextlib.suppress(OSError):
                        connection.recv(1000)
        assert [future.result(60) for future in futures] == [number * number for number in range(200)]
        assert executor.submit(square, 5).result(30) == 25
    after = sorted(fresh_fabric.pids("service") + fresh_fabric.pids("agent") + fresh_fabric.pids("manager"))
    assert after == before


def test_a_port_in_use_is_named(tmp_path):
    fabric = Fabric(tmp_path / "home", endpoints=())
    fabric.home.mkdir(mode=0o700)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = fabric.cli("up", "--port", str(port), check=False)
    assert done.returncode != 0
    assert str(port) in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    fabric.assert_clean()


@pytest.mark.xdist_group("own-fabric")
def test_files_of_processes_that_died_do_not_keep_a_fabric_from_starting(new_fabric):
    fabric = new_fabric()
    for found in fabric.processes():
        os.kill(found.pid, 9)
    assert fabric.service is not None
    fabric.service.wait(10)
    eventually(lambda: not fabric.processes(), "everything is dead")
    assert (fabric.home / "service.json").exists(), "a killed service leaves its file"
    stale = json.loads((fabric.home / "service.json").read_bytes())
    (fabric.home / "service.json").write_text(json.dumps({**stale, "pid": 1}))
    assert json.loads(fabric.cli("status", "--json").stdout)["state"] == "stopped"
    fabric.start_service()
    fabric.start_endpoint("local")
    with fabric.executor() as executor:
        assert executor.submit(square, 5).result(30) == 25


@pytest.mark.xdist_group("own-fabric")
def test_a_second_service_on_the_same_data_is_refused(new_fabric):
    fabric = new_fabric(endpoints=())
    done = fabric.run("funcx_core.service.cli", "--port=0", check=False, timeout=20)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert str(fabric.home) in done.stderr


@pytest.mark.xdist_group("own-fabric")
@pytest.mark.parametrize(
    ("config", "named"),
    [
        ("from funcx_endpoint.config import Config\nconfig = Config(hartbeat_period=3)", "heartbeat_period"),
        ("config = 5", "Config"),
        ("def config(:", "config.py"),
        ("raise RuntimeError('no scratch folder')", "no scratch folder"),
    ],
)
def test_a_wrong_endpoint_config_is_one_clear_line(new_fabric, config, named):
    fabric = new_fabric(endpoints=())
    fabric.configure_endpoint("broken", config)
    done = fabric.endpoint_cli("start", "broken", check=False)
    assert done.returncode != 0
    assert named in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.xdist_group("own-fabric")
def test_a_token_is_in_no_log(new_fabric):
    fabric = new_fabric()
    token = fabric.token
    with fabric.executor() as executor:
        assert executor.submit(square, 5).result(30) == 25
    assert token not in fabric.logs()
