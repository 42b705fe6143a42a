"""Where the time of a task went."""

from funcx_core.fabric.task_table import cells, task_row

SECOND = 1_000_000_000


def test_times_become_queue_run_and_transfer():
    times = {"received": 1 * SECOND, "started": 3 * SECOND, "ended": 3 * SECOND + 12_000_000, "completed": 4 * SECOND}
    row = task_row({"task_id": "0-1", "function_name": "f", "status": "success", "times": times})
    assert cells(row) == ["0-1", "f", "success", "2.00 s", "12.0 ms", "988.0 ms"]


def test_a_task_that_never_started_has_no_times():
    row = task_row({"task_id": "0-1", "status": "cancelled", "times": {"received": 5 * SECOND, "started": 0}})
    assert (row.queue, row.run, row.transfer) == (None, None, None)
    assert cells(row)[3:] == ["-", "-", "-"]


def test_clocks_that_disagree_give_no_negative_times():
    row = task_row({"task_id": "0-1", "status": "success", "times": {"received": 2 * SECOND, "started": 1 * SECOND}})
    assert row.queue == 0
