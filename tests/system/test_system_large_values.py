"""Large values on a real fabric: there and back, and through everything that may die on the way."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import signal
import subprocess
import sys
import time

import pytest

from funcx import errors
from tests.support.chaosproxy import ChaosProxy
from tests.support.fabric import ENDPOINT_CONFIG, eventually

MB = 1_000_000


def reversed_with_checksum(data):
    import hashlib

    return hashlib.sha256(data).hexdigest(), data[::-1]


def made(size):
    import random

    return random.Random(size).randbytes(size)


def test_64_megabytes_go_there_and_back(fabric, tmp_path):
    value = os.urandom(64 * MB)
    told = []
    with fabric.executor(on_transfer=told.append) as executor:
        future = executor.submit(reversed_with_checksum, value)
        checksum, back = future.result(120)
        assert checksum == hashlib.sha256(value).hexdigest()
        assert back == value[::-1]
        path = executor.submit(made, 20 * MB).download(tmp_path / "value.pickle", 60)
        assert pickle.loads(path.read_bytes()) == made(20 * MB)
    assert {each.direction for each in told} == {"up", "down"}
    # What the service has committed the endpoint forgets.
    eventually(lambda: not list((fabric.home / "local" / "large" / "results").iterdir()), "the results are removed")


def test_large_values_by_the_client(fabric):
    client = fabric.client()
    function_id = client.register_function(reversed_with_checksum)
    value = os.urandom(15 * MB)
    task_id = client.run(value, endpoint_id=fabric.endpoint_id, function_id=function_id)
    eventually(lambda: not client.get_task(task_id)["status"].startswith(("wait", "run", "rec")), "it ends", timeout=60)
    assert client.get_result(task_id)[1] == value[::-1]
    assert client.get_batch_result([task_id])[task_id]["result"][1] == value[::-1]


def test_a_published_client_is_told_the_sizes_as_it_always_was(fabric):
    client = fabric.client()
    function_id = client.register_function(made)
    from funcx_core.protocol.payload import as_text
    from funcx_core.serialize import pack_call

    body = {"tasks": [[function_id, fabric.endpoint_id, as_text(pack_call((11 * MB,), {}))]]}
    task_id = client._web.post("submit", body=body)["results"][0]["task_uuid"]
    eventually(lambda: client.get_task(task_id)["status"] == "failed", "it fails", timeout=60)
    with pytest.raises(errors.MaxResultSizeExceeded) as caught:
        client.get_result(task_id)
    assert caught.value.details["limit"] == 10 * 1024 * 1024
    assert caught.value.details["size"] > 11 * MB


@pytest.fixture
def far_fabric(new_fabric):
    """A fabric whose endpoint speaks HTTP with its service by way of a proxy: (fabric, proxy)."""
    fabric = new_fabric(endpoints=())
    host, port = fabric.address.split("/")[2].split(":")
    with ChaosProxy((host, int(port))) as proxy:
        fabric.endpoint_names = ("local",)
        text = ENDPOINT_CONFIG.format(workers=fabric.workers, period=fabric.period, threshold=fabric.threshold)
        address = f"http://127.0.0.1:{proxy.port}/v2"
        fabric.configure_endpoint(
            "local",
            text.replace("\n    heartbeat_period", f"\n    funcx_service_address={address!r},\n    heartbeat_period"),
        )
        credentials = fabric.home / "credentials.json"
        known = json.loads(credentials.read_bytes())
        known[address] = known[fabric.address]
        credentials.write_text(json.dumps(known))
        fabric.start_endpoint("local")
        yield fabric, proxy
        fabric.close()


def begins_to_upload(fabric, proxy, executor, size):
    """Submit a task with a large result; return its future when a part of that is on its way."""
    proxy.throttle(3 * MB)
    future = executor.submit(made, size)
    before = proxy.forwarded
    eventually(lambda: proxy.forwarded > before + size / 4, "a part is uploaded", timeout=60, interval=0.02)
    assert not future.done()
    return future


FROZEN = """
from funcx import FuncXExecutor

def made(size):
    import random, time
    time.sleep(1.0)
    return random.Random(size).randbytes(size)

with FuncXExecutor("local") as executor:
    futures = [executor.submit(made, size) for size in (5, 12_000_000)]
    print("sent", flush=True)
    print(*[future.result(60) == made(len(future.result())) for future in futures])
"""


def test_a_client_that_is_frozen_has_its_results_when_it_thaws(fabric):
    """F03"""
    host, port = fabric.address.split("/")[2].split(":")
    with ChaosProxy((host, int(port))) as proxy:
        address = f"http://127.0.0.1:{proxy.port}/v2"
        env = fabric.environment(FUNCX_SERVICE_ADDRESS=address, FUNCX_TOKEN=fabric.token)
        client = subprocess.Popen([sys.executable, "-c", FROZEN], env=env, stdout=subprocess.PIPE, text=True)
        try:
            assert client.stdout.readline() == "sent\n"
            client.send_signal(signal.SIGSTOP)
            time.sleep(2.0)  # What it waits for ends meanwhile.
            assert proxy.reset() > 0
            client.send_signal(signal.SIGCONT)
            assert client.communicate(timeout=60)[0] == "True True\n"
            assert client.returncode == 0
        finally:
            client.kill()
            client.wait()


def test_an_agent_that_is_killed_while_it_uploads_loses_nothing(far_fabric):
    fabric, proxy = far_fabric
    size = 24 * MB
    with fabric.executor() as executor:
        future = begins_to_upload(fabric, proxy, executor, size)
        fabric.signal("agent", signal.SIGKILL)
        proxy.pass_on()
        fabric.start_endpoint("local")
        assert future.result(60) == made(size)


def test_a_service_that_is_killed_while_values_go_up_loses_nothing(far_fabric):
    fabric, proxy = far_fabric
    size = 24 * MB
    with fabric.executor() as executor:
        future = begins_to_upload(fabric, proxy, executor, size)
        fabric.kill_service()
        time.sleep(0.2)
        fabric.start_service()
        proxy.pass_on()
        assert future.result(60) == made(size)
        assert executor.submit(len, os.urandom(11 * MB)).result(60) == 11 * MB
