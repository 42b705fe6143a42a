"""Where the time of a task went."""

from funcx_core.fabric.task_table import lines, task_row

SECOND = 1_000_000_000
TASK_ID = "01a20195-b511-7000-ac7a-3ab8800e1001"


def a_task(function="f", state="success", **times):
    return task_row({"task_id": TASK_ID, "function_name": function, "status": state, "times": times})


def test_times_become_queue_run_and_transfer():
    row = a_task(received=SECOND, started=3 * SECOND, ended=3 * SECOND + 12_000_000, completed=4 * SECOND)
    assert lines([row]) == [["0195-b511-7000", "f", "success", "2.00 s", "12.0 ms", "988.0 ms"]]


def test_a_task_that_never_started_has_no_times():
    row = a_task(state="cancelled", received=5 * SECOND, started=0)
    assert (row.queue, row.run, row.transfer) == (None, None, None)
    assert lines([row])[0][3:] == ["-", "-", "-"]


def test_clocks_that_disagree_give_no_negative_times():
    assert a_task(received=2 * SECOND, started=1 * SECOND).queue == 0


def test_many_tasks_of_one_function_become_one_line():
    rows = [a_task("g"), *(a_task(received=SECOND, started=SECOND + n * SECOND) for n in range(1, 8)), a_task("g")]
    assert [row[:4] for row in lines(rows)] == [
        ["0195-b511-7000", "g", "success", "-"],
        ["7 tasks, medians", "f", "success", "4.00 s"],
        ["0195-b511-7000", "g", "success", "-"],
    ]
