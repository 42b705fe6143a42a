"""Who runs what and when, on real processes: a fabric with one endpoint of two workers that two users share."""

import itertools
import json
import os
import time

import pytest

from funcx import FuncXExecutor
from funcx_core import errors
from funcx_core.sdk.client import FuncXClient
from tests.support.fabric import eventually

pytestmark = pytest.mark.xdist_group("scheduling")

CONFIG = """
from funcx_endpoint.config import Config
from funcx_endpoint.executors import HighThroughputExecutor

config = Config(
    executors=[
        HighThroughputExecutor(max_workers_per_node=2, cores_per_worker=0.1, available_accelerators=["gpu-a", "gpu-b"])
    ],
    heartbeat_period=0.5,
    heartbeat_threshold=5,
    public=True,
)
"""


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    from tests.support.fabric import Fabric

    with Fabric(tmp_path_factory.mktemp("scheduling") / "fabric", endpoints=()) as fabric:
        fabric.configure_endpoint("shared", CONFIG)
        fabric.start_endpoint("shared")
        yield fabric
        fabric.stop_endpoint("shared")


@pytest.fixture
def ann(shared):
    with shared.executor("shared") as executor:
        yield executor


@pytest.fixture(scope="module")
def bob(shared):
    """Another user's executor."""
    token = shared.cli("token", "--user", "bob").stdout.split()[-1]
    client = FuncXClient(funcx_service_address=shared.address, token=token)
    with FuncXExecutor(shared.id_of("shared"), funcx_client=client) as executor:
        yield executor
    client.close()


def nap(seconds):
    import os
    import time

    began = time.time()
    time.sleep(seconds)
    return began, time.time(), os.environ.get("CUDA_VISIBLE_DEVICES")


def test_a_large_task_runs_alone_and_sees_what_it_asked_for(ann):
    ann.resources = {"accelerators": 2}
    large = [ann.submit(nap, 0.3) for _ in range(2)]
    ann.resources = None
    small = ann.submit(nap, 0.3)
    seen = [future.result(60) for future in large]
    assert [visible for _, _, visible in seen] == ["gpu-a,gpu-b"] * 2
    spans = sorted([*seen, small.result(60)])
    for (_, end, _), (begin, _, _) in itertools.pairwise(spans):
        assert begin >= end, "two tasks had the same accelerator"


def test_what_no_node_has_is_refused_at_once(ann):
    ann.resources = {"cores": 100_000}
    with pytest.raises(errors.ResourcesUnavailable, match="asks for cores=100000, and a node of this endpoint has"):
        ann.submit(nap, 0).result(30)


def test_one_task_does_not_wait_for_another_users_many(ann, bob):
    bob.submit(nap, 0).result(60)  # its function is registered, and its stream is open
    many = [ann.submit(nap, 0.1) for _ in range(400)]
    many[4].result(60)
    began = time.monotonic()
    bob.submit(nap, 0).result(60)
    waited = time.monotonic() - began
    left = sum(not future.done() for future in many)
    for future in many:
        future.cancel()
    assert left > 200, f"it waited {waited:.1f} s, for the others"


def test_an_urgent_task_is_next(ann):
    many = [ann.submit(nap, 0.1) for _ in range(200)]
    many[4].result(60)
    ann.priority = 50
    ann.submit(nap, 0).result(60)
    left = sum(not future.done() for future in many)
    for future in many:
        future.cancel()
    assert left > 100


def test_a_manager_is_shown_held_and_released(shared, ann):
    ann.submit(nap, 0).result(60)
    found = json.loads(shared.endpoint_cli("status", "--json", "shared").stdout)
    (manager,) = found["managers"]
    assert (manager["workers"], manager["is_held"]) == (2, False)
    assert "is on hold" in shared.endpoint_cli("hold", "shared", manager["manager_id"]).stdout
    waiting = ann.submit(nap, 0)
    with pytest.raises(TimeoutError):
        waiting.result(1)
    assert "on hold" in shared.endpoint_cli("status", "shared").stdout
    assert "again" in shared.endpoint_cli("release", "shared", manager["manager_id"]).stdout
    waiting.result(60)


def run_many(executor, number):
    many = [executor.submit(pow, 2, n % 7) for n in range(number)]
    yield many
    assert [future.result(600) for future in many] == [2 ** (n % 7) for n in range(number)]


def test_everything_of_a_queue_is_run(ann):
    for many in run_many(ann, 3_000):
        assert len(many) == 3_000


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif("FUNCX_LONG_TESTS" not in os.environ, reason="takes minutes; set FUNCX_LONG_TESTS=1")
def test_everything_of_a_very_long_queue_is_run_and_nobody_waits_for_its_end(shared, ann, bob):
    bob.submit(nap, 0).result(60)
    (manager,) = json.loads(shared.endpoint_cli("status", "--json", "shared").stdout)["managers"]
    shared.endpoint_cli("hold", "shared", manager["manager_id"])
    for many in run_many(ann, 100_000):
        ann.submit(nap, 0)
        eventually(lambda: ann.task_count_submitted > 100_000, "all are committed", timeout=600)
        short = bob.submit(nap, 0)
        shared.endpoint_cli("release", "shared", manager["manager_id"])
        short.result(60)
        assert not many[-1].done()
