"""What each container runtime is told, word by word, and which settings lead to it."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from funcx_core.errors import ConfigError
from funcx_endpoint.executors.high_throughput import HighThroughputExecutor
from funcx_endpoint.manager.containers.image_identity import identity_of
from funcx_endpoint.manager.containers.kinds import ContainerSettings
from funcx_endpoint.manager.containers.runtimes import (
    KINDS,
    Launch,
    command,
    host_environment,
    identity_in,
    inspect_command,
    kill_command,
    runs,
)

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


# --- which image it was ------------------------------------------------------------------------------------------


def test_runtimes_with_a_store_of_images_are_asked_which_one_a_name_stands_for() -> None:
    line = ["docker", "image", "inspect", "--format", "{{.Id}} {{json .RepoDigests}}", "ann/tools:1"]
    assert inspect_command("docker", "docker://ann/tools:1") == line
    assert inspect_command("podman", "ann/tools:1") == ["podman", *line[1:]]
    assert inspect_command("podman", "/a/root/tree") is None
    assert inspect_command("charliecloud", "/a/root/tree") is None
    assert inspect_command("apptainer", "/images/tools.sif") is None


@pytest.mark.parametrize(
    ("said", "identity"),
    [
        ('sha256:1a ["ann/tools@sha256:2b","other/tools@sha256:2b"]\n', "ann/tools@sha256:2b"),
        ("sha256:1a []\n", "sha256:1a"),
        ('1a ["localhost/tools@sha256:2b"]\n', "sha256:1a"),
        ("1a null\n", "sha256:1a"),
        ("1a\n", "sha256:1a"),
        ("", ""),
    ],
)
def test_an_image_is_named_as_others_can_have_it_or_by_its_id(said: str, identity: str) -> None:
    assert identity_in(said) == identity


def test_a_file_with_an_image_is_named_by_the_id_in_its_header(tmp_path: Path) -> None:
    own = uuid.UUID("0eae46df-1975-e44c-888b-8b9915f87f52")
    image = tmp_path / "tools.sif"
    image.write_bytes(
        b"#!/usr/bin/env run-singularity\n".ljust(32, b"\0") + b"SIF_MAGIC\0" + b"01\0" + b"02\0" + own.bytes + b"x"
    )
    assert identity_of("apptainer", str(image)) == f"sif:{own}"
    image.write_bytes(image.read_bytes()[:60])
    assert identity_of("apptainer", str(image)) == ""
    assert identity_of("singularity", "docker://ann/tools") == ""
    assert identity_of("charliecloud", str(image)) == ""


def test_a_runtime_that_does_not_answer_leaves_the_image_unknown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert identity_of("docker", "ann/tools") == ""
    program = tmp_path / "docker"
    program.write_text("#!/bin/sh\necho sha256:1a\nexit 1\n")
    program.chmod(0o755)
    assert identity_of("docker", "ann/tools") == ""
