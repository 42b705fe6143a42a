"""How a worker in a container gets what is its."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from funcx_endpoint.worker.handover import Handover, remove_stray
from funcx_endpoint.worker.settings import WorkerSettings

SETTINGS = WorkerSettings(
    manager=0, tasks=0, control=0, results=0, page=0, working_dir="/w", max_result=1, max_output=1
)


@pytest.fixture(autouse=True)
def temporary(monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tempfile.mkdtemp()  # A socket's path is short.
    monkeypatch.setattr(tempfile, "tempdir", folder)
    return Path(folder)


WORKER = """
import os, sys
from funcx_endpoint.worker.handover import take
settings = take(sys.argv[1])
os.write(settings.results, f"results {settings.working_dir}".encode())
os.write(1, b"printed")
os.read(settings.tasks, 1)
"""


@pytest.mark.timeout(60)
def test_a_worker_is_handed_its_descriptors_and_killed_with_its_manager() -> None:
    handover = Handover("manager")
    tasks, _feed = os.pipe()
    heard, results = os.pipe()
    shown, out = os.pipe()
    worker = subprocess.Popen([sys.executable, "-c", WORKER, f"{handover.folder}/manager"])
    select.select([handover], [], [], 30)
    pid = handover.give(SETTINGS, [tasks, tasks, results, tasks], [out, out])
    assert pid == worker.pid
    assert os.read(heard, 100) == b"results /w"
    assert os.read(shown, 100) == b"printed"
    assert not list(handover.folder.iterdir())
    handover.close()
    assert worker.wait(30) == -signal.SIGKILL
    assert not handover.folder.exists()


def test_what_a_killed_manager_left_is_removed_and_what_is_in_use_stays(temporary: Path) -> None:
    used = Handover("manager")
    (used.folder / "0").mkdir()
    stray = temporary / "funcx-worker-12345678"
    (stray / "0").mkdir(parents=True)
    (stray / "manager").touch()
    remove_stray(older_than=-1)
    assert [one.name for one in temporary.iterdir()] == [used.folder.name]
    used.close()
    assert list(temporary.iterdir()) == []
