"""Workers in real containers: Charliecloud on a small root tree, and a stand-in for docker in a real process id namespace."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from funcx_core.errors import ContainerFailed, ContainerUnavailable
from funcx_core.ids import TaskId
from funcx_core.protocol.blob import read_reference
from funcx_core.protocol.endpoint import Cancel, GiveBack
from funcx_core.protocol.task import ContainerImage, EventKind
from funcx_endpoint.large import LargeFolder
from funcx_endpoint.manager.containers.kinds import ContainerSettings
from funcx_endpoint.processes import command, identity, with_arguments
from tests.support.containers import (
    a_docker,
    a_root_tree,
    binds_of_this_python,
    mounts_of_this_python,
    needs,
    podman_conf,
    podman_refuses,
)
from tests.support.fake_interchange import FakeInterchange

DOCKER = ContainerSettings(kind="docker", image="the-image")


def where() -> tuple[str, str]:
    mark = Path("/etc/inside")
    return mark.read_text() if mark.exists() else "outside", str(Path.cwd())


def stdout_of_c() -> None:
    os.write(1, b"from the container\n")


def sleep_for_ever() -> None:
    while True:
        time.sleep(0.1)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def pids() -> tuple[int, int]:
    return os.getpid(), os.getppid()


def much() -> bytes:
    return b"x" * 50_000


def known_image() -> str:
    from funcx_endpoint.worker.image import image

    return image()


def environment() -> dict[str, str]:
    return dict(os.environ)


@pytest.fixture
async def interchange(tmp_path: Path) -> AsyncIterator[FakeInterchange]:
    fake = FakeInterchange(tmp_path)
    await fake.open()
    yield fake
    await fake.close()


def charliecloud(**more: Any) -> ContainerSettings:
    return ContainerSettings(kind="charliecloud", options=binds_of_this_python(), **more)


def image(tree: Path) -> ContainerImage:
    return ContainerImage("1", "charliecloud", str(tree))


async def a_running_task(interchange: FakeInterchange, **options: Any) -> TaskId:
    task_id = interchange.submit(sleep_for_ever, **options)
    await interchange.until(lambda: any(each.task_id == task_id for each in interchange.transitions))
    return task_id


async def is_like_any_other(interchange: FakeInterchange, **options: Any) -> None:
    """Output arrives, a task is stopped by signals, and a death is seen with its cause."""
    await interchange.run(stdout_of_c, **options)
    await interchange.until(
        lambda: any(e.kind is EventKind.STDOUT and b"container" in e.body for e in interchange.events)
    )
    stuck = await a_running_task(interchange, interrupt_grace=0.2, **options)
    interchange.send(Cancel([stuck]))
    assert (await interchange.ends(stuck)).state == "cancelled"
    lost = await interchange.ends(interchange.submit(die, **options))
    assert isinstance(lost, GiveBack)
    assert lost.details["signal"] == signal.SIGKILL
    await interchange.run(where, **options)


@needs("ch-run")
async def test_a_task_runs_in_its_container_and_the_next_one_outside(
    interchange: FakeInterchange, tmp_path: Path
) -> None:
    tree = a_root_tree(tmp_path / "root")
    await interchange.start_manager(workers=1, containers=charliecloud())
    inside, folder = await interchange.run(where, container=image(tree))
    assert inside == "the small root tree\n"
    assert folder.endswith("/worker-0")
    assert (await interchange.run(where))[0] == "outside"


@needs("ch-run")
async def test_a_worker_in_a_container_is_like_any_other_and_dies_with_its_manager(
    interchange: FakeInterchange, tmp_path: Path
) -> None:
    tree = a_root_tree(tmp_path / "root")
    manager = await interchange.start_manager(workers=1, containers=charliecloud(image=str(tree)))
    await is_like_any_other(interchange)
    pid, _ = await interchange.run(pids)
    assert b"funcx_endpoint.worker" in command(pid)
    await a_running_task(interchange)
    manager.kill()
    manager.wait()
    await interchange.until(lambda: not identity(pid))


@needs("ch-run")
async def test_a_container_without_python_fails_its_tasks_with_what_the_runtime_said(
    interchange: FakeInterchange, tmp_path: Path
) -> None:
    tree = a_root_tree(tmp_path / "root", python=False)
    await interchange.start_manager(workers=2, containers=charliecloud())
    task = interchange.submit(where, container=image(tree))
    with pytest.raises(ContainerFailed, match="python3") as caught:
        await interchange.value(task, timeout=60)
    assert "can't execve" in caught.value.details["stderr"]
    assert (await interchange.run(where))[0] == "outside"


async def test_a_runtime_that_is_not_there_fails_the_tasks_that_need_it(interchange: FakeInterchange) -> None:
    await interchange.start_manager(workers=1, containers=ContainerSettings(kind="shifter"))
    task = interchange.submit(where, container=ContainerImage("1", "shifter", "docker:x"))
    with pytest.raises(ContainerFailed, match="there is no program 'shifter' on this node"):
        await interchange.value(task, timeout=60)
    with pytest.raises(ContainerUnavailable, match="those of shifter"):
        await interchange.run(where, container=ContainerImage("1", "docker", "x"))


@needs("ch-run")
async def test_each_task_has_a_container_of_its_own_and_large_values_leave_it(
    interchange: FakeInterchange, tmp_path: Path
) -> None:
    tree = a_root_tree(tmp_path / "root")
    containers = charliecloud(image=str(tree), is_single_use=True)
    LargeFolder(tmp_path / "large").open(frozenset())  # As the agent does.
    await interchange.start_manager(workers=2, containers=containers, max_result=1000, max_large_result=100_000)
    tasks = [interchange.submit(pids) for _ in range(4)]
    assert len({(await interchange.value(task))[0] for task in tasks}) == 4
    task_id = interchange.submit(much)
    await interchange.until(lambda: task_id in interchange.results)
    reference = read_reference(interchange.results[task_id].value)
    assert LargeFolder(tmp_path / "large").result(reference.blob_id).stat().st_size == reference.size


# --- runtimes whose containers are not below its client ----------------------------------------------------------


@needs("unshare")
async def test_a_worker_with_process_ids_of_its_own_is_like_any_other_and_dies_with_its_manager(
    interchange: FakeInterchange, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{a_docker(tmp_path / 'docker')}:{os.environ['PATH']}")
    manager = await interchange.start_manager(workers=2, containers=DOCKER)
    assert await interchange.run(pids) == (2, 1)  # The kernel spares the first process of a namespace from signals.
    variables = await interchange.run(environment)
    assert variables["HOME"].startswith(str(tmp_path))
    assert "FUNCX_TOKEN" not in variables
    assert await interchange.run(known_image) == "registry.test/the-image@sha256:f00d"
    await is_like_any_other(interchange)
    await a_running_task(interchange)
    found = with_arguments(b"funcx_endpoint.worker\0/tmp/funcx-")
    ours = [worker for worker in found if str(tmp_path).encode() in environ(worker.pid)]
    assert ours
    manager.kill()
    manager.wait()
    await interchange.until(lambda: not any(worker.is_alive for worker in ours))


def environ(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return b""


@needs("podman")
async def test_a_worker_in_podman_is_like_any_other_and_ends_with_its_manager(
    interchange: FakeInterchange, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONTAINERS_CONF", str(podman_conf(tmp_path)))
    tree = a_root_tree(tmp_path / "root")
    if said := podman_refuses(tree):
        pytest.skip(f"podman runs nothing here: {said}")
    containers = ContainerSettings(kind="podman", options=mounts_of_this_python())
    manager = await interchange.start_manager(workers=2, containers=containers)
    container = ContainerImage("1", "docker", str(tree))
    assert (await interchange.run(where, container=container))[0] == "the small root tree\n"
    assert (await interchange.run(where))[0] == "outside"
    await is_like_any_other(interchange, container=container)
    await a_running_task(interchange, container=container)
    assert await _containers_of(tmp_path)
    manager.terminate()
    manager.wait(60)
    assert await _containers_of(tmp_path) == []


async def _containers_of(folder: Path) -> list[str]:
    listing = await asyncio.create_subprocess_exec(
        "podman", "ps", "--all", "--format", "{{.Names}} {{.Mounts}}", stdout=asyncio.subprocess.PIPE
    )
    said, _ = await listing.communicate()
    return [line for line in said.decode().splitlines() if line.startswith("funcx-worker-") and str(folder) in line]


@needs("unshare")
async def test_a_container_that_hangs_while_it_starts_is_ended_by_its_runtime(
    interchange: FakeInterchange, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = a_docker(tmp_path / "docker")
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setenv("STAND_IN_HANGS", "1")
    manager = await interchange.start_manager(workers=1, containers=DOCKER)
    await interchange.until(lambda: list(folder.glob("funcx-worker-*")))
    manager.terminate()
    manager.wait(30)
    assert [path.suffix for path in folder.glob("funcx-worker-*")] == [".killed"]
