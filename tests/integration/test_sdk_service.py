"""The SDK's stream against the real service: what a killed service and a lost connection do to open tasks."""

from __future__ import annotations

import time
from collections import Counter

from funcx_core.errors import TaskCancelled
from funcx_core.sdk.executor import FuncXExecutor
from tests.support.fabric import eventually


def note(path, n, seconds=0.0):
    import time

    with open(path, "a") as file:  # noqa: PTH123 - one short line: O_APPEND keeps lines whole
        file.write(f"{n}\n")
    time.sleep(seconds)
    return n


def ledger(path):
    return Counter(int(line) for line in path.read_text().split()) if path.exists() else Counter()


def test_a_service_killed_during_a_burst_loses_and_repeats_nothing(fresh_fabric, tmp_path):
    """F06"""
    path = tmp_path / "ledger"
    with fresh_fabric.client() as client, FuncXExecutor("local", funcx_client=client) as executor:
        executor.submit(note, str(path), -1).result(20)
        futures = [executor.submit(note, str(path), n, 0.005) for n in range(100)]
        fresh_fabric.service.kill()
        fresh_fabric.service.wait(10)
        futures += [executor.submit(note, str(path), n, 0.005) for n in range(100, 200)]
        fresh_fabric.start_service()
        assert [future.result(40) for future in futures] == list(range(200))
    assert ledger(path) == Counter(range(-1, 200))


def test_output_a_process_submitted_is_found_by_the_next(fabric, tmp_path):
    """F01"""
    with fabric.client() as client:
        executor = FuncXExecutor("local", funcx_client=client)
        futures = [executor.submit(note, str(tmp_path / "ledger"), n, 0.3) for n in range(4)]
        eventually(lambda: executor.task_count_submitted == 4, "all are acknowledged")
        executor._stream.close(1)
        with FuncXExecutor("local", funcx_client=client, task_group_id=executor.task_group_id) as other:
            again = other.reload_tasks()
            assert {future.task_id for future in again} == {future.task_id for future in futures}
            assert sorted(future.result(20) for future in again) == [0, 1, 2, 3]


def test_a_cancel_reaches_a_running_task_in_time(fabric, tmp_path):
    with fabric.client() as client, FuncXExecutor("local", funcx_client=client) as executor:
        future = executor.submit(note, str(tmp_path / "ledger"), 1, 60)
        eventually(future.running, "the task runs", timeout=20)
        started = time.monotonic()
        assert future.best_effort_cancel()
        assert isinstance(future.exception(20), TaskCancelled)
        assert time.monotonic() - started < 10
