"""What a worker wrote stays on disk, and not for ever."""

from __future__ import annotations

import os
from pathlib import Path

from funcx_endpoint.manager.workers.log import WorkerLog, forget_oldest


def test_nothing_is_made_before_something_is_written(tmp_path: Path) -> None:
    WorkerLog(tmp_path / "logs" / "worker-0.log").close()
    assert list(tmp_path.iterdir()) == []


def test_output_and_notes_stand_in_their_order_and_only_the_owner_may_read_them(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "worker-0.log"
    log = WorkerLog(path)
    log.write(b"said\n")
    log.note("worker 0 ended")
    log.close()
    first, second = path.read_text().splitlines()
    assert first == "said"
    assert second.startswith("--- 20")
    assert second.endswith("worker 0 ended")
    assert path.stat().st_mode & 0o777 == 0o600


def test_two_files_of_bounded_size_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "worker-0.log"
    log = WorkerLog(path, most=100)
    for number in range(100):
        log.write(b"%08d\n" % number)
    log.write(b"x" * 1000)
    log.close()
    sizes = {file.name: file.stat().st_size for file in tmp_path.iterdir()}
    assert sizes.keys() == {"worker-0.log", "worker-0.log.1"}
    assert max(sizes.values()) <= 100
    assert path.with_suffix(".log.1").read_bytes().endswith(b"00000099\n")


def test_an_older_log_is_gone_on_with(tmp_path: Path) -> None:
    path = tmp_path / "worker-0.log"
    for text in (b"one\n", b"two\n"):
        log = WorkerLog(path)
        log.write(text)
        log.close()
    assert path.read_bytes() == b"one\ntwo\n"


def test_a_disk_that_cannot_be_written_stops_nobody(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    WorkerLog(tmp_path / "file" / "worker-0.log").write(b"x")


def test_logs_of_the_oldest_managers_go(tmp_path: Path) -> None:
    names = [f"00000000-0000-4000-8000-{number:012x}" for number in range(4)]
    for at, name in enumerate(names):
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (at, at))
    (tmp_path / "mine").mkdir()
    forget_oldest(tmp_path, keep=2)
    assert {folder.name for folder in tmp_path.iterdir()} == {*names[2:], "mine"}
    forget_oldest(tmp_path / "absent")
