"""An endpoint whose blocks are pods, on a fake Kubernetes API: its pods are processes of this machine."""

from __future__ import annotations

import pytest

from tests.support.fabric import Fabric, eventually
from tests.support.fake_kubernetes import FakeKubernetes
from tests.support.ledger import Ledger

pytest.importorskip("kubernetes")

CONFIG = """\
from funcx_endpoint.config import Config
from funcx_endpoint.executors import HighThroughputExecutor
from funcx_endpoint.providers.kubernetes.kube import KubernetesProvider
from funcx_endpoint.strategies import KubeSimpleStrategy

config = Config(
    executors=[
        HighThroughputExecutor(
            address="127.0.0.1",
            heartbeat_period=0.3,
            heartbeat_threshold=2.0,
            strategy=KubeSimpleStrategy(interval=0.3, max_idletime=1),
            provider=KubernetesProvider(image="{image}", max_blocks=2, max_cpu=2),
        )
    ],
    heartbeat_period=0.3,
    heartbeat_threshold=2.0,
)
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kubernetes")
    with pytest.MonkeyPatch.context() as patch, FakeKubernetes(folder, {}) as running:
        patch.setenv("KUBECONFIG", str(running.kubeconfig))
        yield running


@pytest.fixture(scope="module")
def fabric(cluster, tmp_path_factory):
    with Fabric(tmp_path_factory.mktemp("fabric"), endpoints=()) as running:
        cluster.environment = running.environment()
        yield running


def start(fabric, name, image="lab:1"):
    fabric.configure_endpoint(name, CONFIG.replace("{image}", image))
    fabric.start_endpoint(name)


def image():
    import os

    return os.environ["POD_IMAGE"]


def test_tasks_run_in_pods_that_come_and_go_with_them(cluster, fabric):
    start(fabric, "pods")
    assert cluster.pods == {}
    with fabric.executor("pods") as executor:
        assert {future.result(60) for future in [executor.submit(image) for _ in range(6)]} == {"lab:1"}
    eventually(lambda: not cluster.pods, "idle pods are given up", timeout=30)
    fabric.stop_endpoint("pods")


def test_tasks_of_a_container_run_in_pods_of_its_image(cluster, fabric):
    start(fabric, "images")
    client = fabric.client()
    container = client.register_container("docker://sklearn:1", "docker")
    with fabric.executor("images") as plain, fabric.executor("images", container_id=container) as contained:
        both = [(plain.submit(image), contained.submit(image)) for _ in range(4)]
        assert {(one.result(90), other.result(90)) for one, other in both} == {("lab:1", "sklearn:1")}
    fabric.stop_endpoint("images")


def test_a_pod_that_is_deleted_under_load_loses_only_what_it_ran(cluster, fabric, tmp_path):
    ledger = Ledger(tmp_path / "ledger")
    start(fabric, "deleted")
    with fabric.executor("deleted", retry_on_loss=1) as executor:
        names = [f"t{number}" for number in range(40)]
        futures = [executor.submit(ledger.function, str(ledger.path), name, 0.1) for name in names]
        eventually(lambda: len(ledger.ends()) >= 8, "some have run", timeout=60)
        cluster.delete_behind_everybodys_back(min(cluster.pods))
        assert [future.result(60) for future in futures] == names
    assert sum(count > 1 for count in ledger.starts().values()) <= 2
    fabric.stop_endpoint("deleted")
    assert cluster.pods == {}, "a stopped endpoint leaves no pod"


def test_an_image_that_cannot_be_pulled_makes_the_endpoint_unhealthy(cluster, fabric):
    cluster.bad_images.add("nosuch:1")
    start(fabric, "sick", "nosuch:1")
    with fabric.executor("sick") as executor:
        future = executor.submit(image)
        shown = eventually(
            lambda: (said := fabric.endpoint_cli("status", "sick", "--json").stdout) and "unhealthy" in said and said,
            "the endpoint is unhealthy",
            timeout=60,
            interval=0.5,
        )
        assert "ImagePullBackOff: Back-off pulling image" in shown
        assert not future.done()
        future.cancel()
    fabric.stop_endpoint("sick")
    assert cluster.pods == {}
