"""What a dead manager's files tell."""

from __future__ import annotations

import resource
import signal
from pathlib import Path

import pytest

from funcx_core.ids import FunctionId, TaskId
from funcx_core.protocol.task import Lease, Task
from funcx_core.protocol.worker import Chunk, Dealt
from funcx_endpoint.manager import journal as module
from funcx_endpoint.manager.journal import Journal, Recovered, forget, recover
from funcx_endpoint.worker.page import STARTED


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    opened = Journal(tmp_path / "leases" / "m1", 2)
    opened.open()
    return opened


def chunk(first: int, *names: str) -> Chunk:
    return Chunk([Dealt(first + n, Task(TaskId(name), 1, FunctionId("f"), b"payload")) for n, name in enumerate(names)])


def found(tmp_path: Path) -> dict[str, bool]:
    return {item.lease.task_id: item.started for item in recover(tmp_path / "leases")}


def test_a_task_has_started_if_its_number_was_written_to_the_page(tmp_path: Path, journal: Journal) -> None:
    journal.dealt(0, chunk(1, "a", "b", "c"))
    journal.dealt(1, chunk(1, "d"))
    journal.pages[0].numbers[STARTED] = 2
    assert found(tmp_path) == {"a": True, "b": True, "c": False, "d": False}


def test_what_came_back_unstarted_is_where_it_was_dealt_to_last(tmp_path: Path, journal: Journal) -> None:
    journal.dealt(0, chunk(1, "a", "b"))
    journal.returned(0, [2])
    journal.dealt(0, chunk(3, "c"))
    journal.dealt(1, chunk(1, "b"))
    journal.pages[0].numbers[STARTED] = 3
    assert found(tmp_path) == {"a": True, "c": True, "b": False}
    assert recover(tmp_path / "leases")[-1] == Recovered(Lease(TaskId("b"), 1), started=False)


def test_results_are_safe_when_the_interchange_says_so(tmp_path: Path, journal: Journal) -> None:
    journal.dealt(0, chunk(1, "a", "b"))
    journal.pages[0].numbers[STARTED] = 2
    assert found(tmp_path) == {"a": True, "b": True}
    journal.safe([1, 0], [2, 0], dict)
    assert found(tmp_path) == {"b": True}


def test_a_full_disk_leaves_the_log_whole(tmp_path: Path, journal: Journal) -> None:
    journal.dealt(0, chunk(1, "a", "b"))
    size = (tmp_path / "leases" / "m1" / "deals.log").stat().st_size
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    old = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 2, hard))
    try:
        with pytest.raises(OSError, match=r"No space left|File too large"):
            journal.dealt(1, chunk(1, "c"))
        journal.returned(0, [2])
        assert not journal.works()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, old)
    assert found(tmp_path) == {"a": False, "b": False}
    assert journal.works()
    assert found(tmp_path) == {"a": False}
    journal.dealt(1, chunk(1, "c"))
    assert found(tmp_path) == {"a": False, "c": False}


def test_a_record_that_was_cut_off_is_as_if_it_had_not_been_written(tmp_path: Path, journal: Journal) -> None:
    journal.dealt(0, chunk(1, "a"))
    path = tmp_path / "leases" / "m1" / "deals.log"
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:-3])
    assert found(tmp_path) == {"a": False}


def test_the_log_is_begun_anew_and_nothing_open_is_forgotten(
    tmp_path: Path, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOG_BYTES", 100)
    number = 1
    journal.dealt(1, chunk(1, "long"))
    journal.pages[1].numbers[STARTED] = 1
    for step in range(50):
        journal.dealt(0, chunk(number, f"x{step}", f"y{step}"))
        number += 2
        journal.pages[0].numbers[STARTED] = number - 1
        journal.safe([number - 1, 0], [number - 1, 0], lambda: {1: {1: Lease(TaskId("long"), 1)}})
    assert found(tmp_path)["long"] is True
    assert len(found(tmp_path)) <= 5
    assert sum(path.stat().st_size for path in (tmp_path / "leases" / "m1").glob("*.log")) < 2000


def test_no_folder_means_nothing_to_recover(tmp_path: Path) -> None:
    assert recover(tmp_path / "leases") == []


def test_forgetting_removes_the_folders(tmp_path: Path, journal: Journal) -> None:
    journal.dealt(0, chunk(1, "a"))
    forget(tmp_path / "leases", ["m1"])
    assert found(tmp_path) == {}
