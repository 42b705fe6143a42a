"""KubernetesProvider against a fake API server: what it asks for, and what it makes of the answers."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from funcx_core.errors import ConfigError, ServiceUnavailable
from funcx_endpoint.blocks.provider import BlockProvider
from funcx_endpoint.blocks.records import ProviderState
from funcx_endpoint.providers import KubernetesProvider
from tests.support.fabric import eventually
from tests.support.fake_kubernetes import FakeKubernetes

pytest.importorskip("kubernetes")


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    with FakeKubernetes(tmp_path / "cluster", {"PATH": os.environ["PATH"]}) as running:
        monkeypatch.setenv("KUBECONFIG", str(running.kubeconfig))
        yield running


@pytest.fixture
def provider(cluster, tmp_path):
    made = KubernetesProvider("python:3.11", max_blocks=2, nodes_per_block=2, worker_init="echo ready")
    BlockProvider(made).open(tmp_path / "scripts")
    return made


def state(provider, job):
    (found,) = BlockProvider(provider).status([job])
    return found


def test_a_block_is_a_pod_for_each_node_until_it_is_cancelled(cluster, provider):
    job = provider.submit("sleep 600", 1, job_name="a name of Parsl's")
    assert sorted(cluster.pods) == [f"funcx-worker-{job}-0", f"funcx-worker-{job}-1"]
    assert state(provider, job).state is ProviderState.RUNNING
    assert provider.cancel([job]) == [True]
    assert cluster.pods == {}
    assert state(provider, job).state is ProviderState.ENDED
    assert provider.cancel([job]) == [True], "again is harmless"


def test_a_pod_is_asked_for_as_it_is_configured(cluster):
    provider = KubernetesProvider(
        "registry.example/lab:1", namespace="lab", max_cpu=4, max_mem="2Gi", init_cpu=0.5, init_mem="1Gi",
        worker_init="source /venv", pod_name="lab-worker", user_id="1000", group_id=100, run_as_non_root=True,
        secret="pull", persistent_volumes=[("claim", "/data"), ("claim", "/home")], service_account_name="runner",
        annotations={"a": "b"}, extra_limits={"nvidia.com/gpu": "1"},
    )  # fmt: skip
    job = provider.submit("sleep 600")
    assert cluster.requests == [("POST", "/api/v1/namespaces/lab/pods")]
    assert cluster.specs() == [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": f"lab-worker-{job}-0",
                "labels": {"app": "funcx-worker", "funcx-block": job},
                "annotations": {"a": "b"},
            },
            "spec": {
                "containers": [
                    {
                        "name": "funcx-worker",
                        "image": "registry.example/lab:1",
                        "command": ["/bin/bash"],
                        "args": ["-c", "source /venv\nexec sleep 600\n"],
                        "resources": {
                            "requests": {"cpu": "0.5", "memory": "1Gi"},
                            "limits": {"cpu": "4", "memory": "2Gi", "nvidia.com/gpu": "1"},
                        },
                        "securityContext": {"runAsUser": 1000, "runAsGroup": 100, "runAsNonRoot": True},
                        "volumeMounts": [
                            {"name": "volume-0", "mountPath": "/data"},
                            {"name": "volume-1", "mountPath": "/home"},
                        ],
                    }
                ],
                "restartPolicy": "Never",
                "volumes": [
                    {"name": "volume-0", "persistentVolumeClaim": {"claimName": "claim"}},
                    {"name": "volume-1", "persistentVolumeClaim": {"claimName": "claim"}},
                ],
                "imagePullSecrets": [{"name": "pull"}],
                "serviceAccountName": "runner",
            },
        }
    ]
    assert (provider.cores_per_node, round(provider.mem_per_node, 2)) == (4, 2.15)


def test_the_tasks_of_a_container_have_pods_of_its_image(cluster, provider):
    BlockProvider(provider).submit("sleep 600", "name", "sklearn:1")
    assert {pod["spec"]["containers"][0]["image"] for pod in cluster.specs()} == {"sklearn:1"}


def test_so_many_of_the_newest_blocks_of_a_type_can_be_cancelled(cluster, provider):
    jobs = [provider.submit("sleep 600", 1, task_type) for task_type in (None, "b", "b", None)]
    assert provider.cancel(1, "b") == [True]
    ended = [state(provider, job).state is ProviderState.ENDED for job in jobs]
    assert ended == [False, False, True, False]


def test_a_pod_that_fails_ends_its_block_with_its_last_words(cluster, provider):
    job = provider.submit("bash -c 'echo no such module >&2; exit 3'")
    report = eventually(
        lambda: (found := state(provider, job)).state is ProviderState.ENDED and found, "it has ended", timeout=20
    )
    assert report.words == "failed, exit code 3: Error"
    assert "no such module" in report.tail
    assert cluster.pods == {}, "the other pod of the block has no use"


def test_a_pod_that_is_deleted_behind_our_back_has_ended(cluster, provider):
    job = provider.submit("sleep 600")
    cluster.delete_behind_everybodys_back(f"funcx-worker-{job}-1")
    report = state(provider, job)
    assert (report.state, report.words) == (ProviderState.ENDED, "cancelled: The pod was deleted.")
    assert cluster.pods == {}


def test_an_image_that_cannot_be_pulled_is_the_reason(cluster, provider):
    cluster.bad_images.add("python:3.11")
    job = provider.submit("sleep 600")
    report = state(provider, job)
    assert report.state is ProviderState.ENDED
    assert report.words == 'failed: ImagePullBackOff: Back-off pulling image "python:3.11"'
    assert cluster.pods == {}


def test_an_api_that_is_down_says_so_and_loses_nothing(cluster, provider):
    job = provider.submit("sleep 600")
    cluster.is_down = True
    for call in (lambda: provider.submit("sleep 600"), lambda: provider.status([job]), lambda: provider.cancel([job])):
        with pytest.raises(ServiceUnavailable, match="Kubernetes says 503 ServiceUnavailable: the API is down"):
            call()
    cluster.is_down = False
    assert state(provider, job).state is ProviderState.RUNNING
    provider.cancel([job])
    assert cluster.pods == {}


def test_an_api_that_is_not_there_says_so(cluster, provider, monkeypatch, tmp_path):
    gone = tmp_path / "gone"
    gone.write_text(cluster.kubeconfig.read_text().replace(str(cluster.port), "1"))
    monkeypatch.setenv("KUBECONFIG", str(gone))
    with pytest.raises(ServiceUnavailable, match=r"The Kubernetes API does not answer: .*refused"):
        provider.submit("sleep 600")


def test_what_may_not_be_done_is_told_in_the_clusters_words(cluster):
    with pytest.raises(ConfigError, match='403 Forbidden: pods is forbidden: User "tester" cannot create'):
        KubernetesProvider("image", namespace="forbidden").submit("sleep 600")


NO_CLUSTER = """
from funcx_endpoint.providers import KubernetesProvider
import sys
assert "kubernetes" not in sys.modules, "it costs seconds"
try:
    KubernetesProvider("image").submit("true")
except Exception as error:
    print(type(error).__name__, error)
"""


def test_without_a_cluster_one_line_says_what_to_do(tmp_path):
    env = {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    done = subprocess.run(
        [sys.executable, "-c", NO_CLUSTER], env=env, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stdout.startswith("ConfigError No Kubernetes cluster is known: set KUBECONFIG"), done.stderr
