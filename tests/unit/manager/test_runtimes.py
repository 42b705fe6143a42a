"""What each container runtime is told, word by word, and which settings lead to it."""

from __future__ import annotations

import pytest

from funcx_core.errors import ConfigError
from funcx_endpoint.executors.high_throughput import HighThroughputExecutor
from funcx_endpoint.manager.containers.kinds import ContainerSettings
from funcx_endpoint.manager.containers.runtimes import KINDS, Launch, command, host_environment, kill_command, runs

WORKER = ["python3", "-P", "-m", "funcx_endpoint.worker", "/tmp/funcx-1/manager"]


def launch(location: str, *options: str) -> Launch:
    return Launch(
        name="funcx-worker-1",
        image=location,
        channel="/tmp/funcx-1",
        folders=["/home/ann/.funcx/e/work", "/home/ann/.funcx/e/large"],
        working_dir="/home/ann/.funcx/e/work/worker-0",
        variables={"CUDA_VISIBLE_DEVICES": "1"},
        user=(1000, 100),
        options=list(options),
    )


MOUNTS = [
    "--mount",
    "type=bind,source=/tmp/funcx-1,target=/tmp/funcx-1",
    "--mount",
    "type=bind,source=/home/ann/.funcx/e/work,target=/home/ann/.funcx/e/work",
    "--mount",
    "type=bind,source=/home/ann/.funcx/e/large,target=/home/ann/.funcx/e/large",
    "--workdir",
    "/home/ann/.funcx/e/work/worker-0",
    "--env",
    "CUDA_VISIBLE_DEVICES=1",
]
BINDS = [
    "--bind",
    "/tmp/funcx-1",
    "--bind",
    "/home/ann/.funcx/e/work",
    "--bind",
    "/home/ann/.funcx/e/large",
    "--pwd",
    "/home/ann/.funcx/e/work/worker-0",
]


def test_docker() -> None:
    line = command("docker", launch("docker://python:3.12", "--gpus", "all"))
    begin = ["docker", "run", "--rm", "--name", "funcx-worker-1", "--user", "1000:100"]
    assert line == [*begin, *MOUNTS, "--gpus", "all", "python:3.12", *WORKER]
    assert kill_command("docker", "funcx-worker-1") == ["docker", "kill", "funcx-worker-1"]


def test_podman() -> None:
    line = command("podman", launch("python:3.12"))
    begin = ["podman", "run", "--rm", "--name", "funcx-worker-1", "--user", "1000:100", "--userns=keep-id"]
    assert line == [*begin, *MOUNTS, "python:3.12", *WORKER]
    assert command("podman", launch("/images/tree"))[-len(WORKER) - 2 :] == ["--rootfs", "/images/tree", *WORKER]


@pytest.mark.parametrize("kind", ["singularity", "apptainer"])
def test_singularity(kind: str) -> None:
    line = command(kind, launch("/images/x.sif", "--nv"))
    assert line == [kind, "exec", *BINDS, "--nv", "/images/x.sif", *WORKER]
    assert kill_command(kind, "funcx-worker-1") is None
    assert command(kind, launch("docker://python:3.12"))[-len(WORKER) - 1] == "docker://python:3.12"


def test_shifter() -> None:
    assert command("shifter", launch("docker://python:3.12", "--module=gpu")) == [
        "shifter",
        "--image=docker:python:3.12",
        "--volume=/tmp/funcx-1:/tmp/funcx-1",
        "--volume=/home/ann/.funcx/e/work:/home/ann/.funcx/e/work",
        "--volume=/home/ann/.funcx/e/large:/home/ann/.funcx/e/large",
        "--workdir=/home/ann/.funcx/e/work/worker-0",
        "--module=gpu",
        "--",
        *WORKER,
    ]


def test_charliecloud_binds_below_tmp_because_its_images_are_read_only() -> None:
    assert command("charliecloud", launch("/images/tree", "--set-env=A=b")) == [
        "ch-run",
        "--bind=/home/ann/.funcx/e/work:/tmp/funcx-1/0",
        "--bind=/home/ann/.funcx/e/large:/tmp/funcx-1/1",
        "--set-env=A=b",
        "/images/tree",
        "--",
        *WORKER,
    ]


def test_containers_of_one_family_run_with_each_other() -> None:
    assert [other for other in KINDS if runs("podman", other)] == ["docker", "podman"]
    assert [other for other in KINDS if runs("singularity", other)] == ["singularity", "apptainer"]
    assert [other for other in KINDS if runs("shifter", other)] == ["shifter"]


def test_what_fits_the_python_outside_stays_outside() -> None:
    assert host_environment({"PYTHONPATH": "/x", "VIRTUAL_ENV": "/v", "HOME": "/h"}) == {"HOME": "/h"}


# --- settings --------------------------------------------------------------------------------------------------


def containers(**settings: object) -> ContainerSettings | None:
    return HighThroughputExecutor(**settings).containers()  # type: ignore[arg-type]


def test_settings_as_they_are_documented() -> None:
    assert containers() is None
    assert containers(worker_mode="no_container", container_type=None) is None
    assert containers(container_type="Docker", worker_mode="no_container") is None
    assert containers(container_type="Docker") == ContainerSettings(kind="docker")
    assert containers(worker_mode="singularity_reuse") == ContainerSettings(kind="singularity")
    once = containers(container_type="Shifter", worker_mode="singularity_single_use", container_image="docker:x")
    assert once == ContainerSettings(kind="shifter", image="docker:x", is_single_use=True)
    assert containers(
        container_type="Singularity", container_cmd_options="--bind '/a b' -H /home/$USER", worker_max_idletime=5
    ) == ContainerSettings(kind="singularity", options=["--bind", "/a b", "-H", "/home/$USER"], idle_seconds=5)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"container_type": "lxc"}, "one of docker, podman"),
        ({"worker_mode": "docker"}, "one of no_container, singularity_reuse"),
        ({"container_image": "python:3.12"}, "container_image needs container_type"),
        ({"container_type": "docker", "container_cmd_options": "-v '"}, "container_cmd_options cannot be read"),
        ({"container_type": "docker", "worker_max_idletime": 0}, "worker_max_idletime"),
    ],
)
def test_settings_that_say_nothing_that_can_be_done(settings: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        HighThroughputExecutor(**settings)  # type: ignore[arg-type]
