"""Commands as functions on a whole fabric."""

import time
from concurrent.futures import CancelledError
from pathlib import Path

import pytest

from funcx import FuncXExecutor, ShellFunction, ShellResult
from funcx_core import errors
from tests.support.fabric import eventually

SAY = ShellFunction("echo {what:q}; exit {code}", name="say")


def test_every_way_of_submitting_takes_a_command(fabric):
    client = fabric.client()
    function_id = client.register_function(SAY)
    assert [found["function_name"] for found in client.search_function("echo say") if found] == ["say"]
    one = client.run(what="a b", code=0, endpoint_id=fabric.endpoint_id, function_id=function_id)
    batch = client.create_batch()
    batch.add(function_id, fabric.endpoint_id, kwargs={"what": "two", "code": 3})
    [two] = client.batch_run(batch)
    with fabric.executor() as executor:
        three = executor.submit(SAY, what="three", code=0)
        results = [three.result(30)]
    with FuncXExecutor(funcx_client=client) as executor:
        four = executor.submit(SAY, what="four", code=0, endpoint_id=fabric.endpoint_id)
        assert four.result(30).stdout == "four\n"
    for task_id in (one, two):
        eventually(lambda task_id=task_id: not client.get_task(task_id)["pending"], "the task has ended", timeout=30)
        results.append(client.get_result(task_id))
    assert [(type(r), r.stdout, r.returncode) for r in results] == [
        (ShellResult, "three\n", 0), (ShellResult, "a b\n", 0), (ShellResult, "two\n", 3),
    ]  # fmt: skip


def test_a_range_of_a_map_runs_commands_in_one_task(fabric):
    import funcx

    calls = funcx.map(shell_of, range(5), endpoint=fabric.endpoint_id, client=fabric.client())
    assert list(calls) == ["0\n", "1\n", "4\n", "9\n", "16\n"]


def shell_of(n):
    from funcx import ShellFunction

    return ShellFunction("echo $(( {n} * {n} ))")(n=n).stdout


def test_output_is_shown_while_the_command_runs(fabric, tmp_path):
    go = tmp_path / "go"
    wait = ShellFunction("echo begun; echo careful >&2; until [ -e {go:q} ]; do sleep 0.05; done; echo done")
    with fabric.executor() as executor:
        future = executor.submit(wait, go=go)
        try:
            eventually(
                lambda: {("stdout", "begun\n"), ("stderr", "careful\n")} <= shown(fabric.client(), future.task_id),
                "the text is shown",
                timeout=30,
            )
            assert not future.done()
        finally:
            go.touch()
        assert future.result(30).stdout == "begun\ndone\n"


def shown(client, task_id):
    try:
        return {(event["kind"], event["body"]) for event in client.get_events(task_id)["events"]}
    except errors.TaskNotFound:
        return set()  # It is on its way to the service.


def exists(path: Path) -> bool:
    return Path(f"/proc/{path.read_text().strip()}").exists()


def test_a_command_that_is_cancelled_leaves_nothing_behind(fabric, tmp_path):
    child, shell = tmp_path / "child", tmp_path / "shell"
    stubborn = ShellFunction(
        "trap '' TERM INT; sleep 300 & echo $! > {child}; echo $$ > {shell}; wait; wait; sleep 300"
    )
    with fabric.executor() as executor:
        future = executor.submit(stubborn, child=child, shell=shell)
        eventually(lambda: shell.exists() and shell.read_text(), "the command runs", timeout=30)
        started = time.monotonic()
        future.best_effort_cancel()
        with pytest.raises((errors.TaskCancelled, CancelledError)):
            future.result(30)
        assert time.monotonic() - started < 15
        eventually(lambda: not exists(child) and not exists(shell), "all its processes have ended")
        assert executor.submit(SAY, what="next", code=0).result(30).stdout == "next\n"


def test_the_walltime_of_a_command_is_a_result_and_that_of_a_task_an_error(fabric):
    with fabric.executor() as executor:
        assert executor.submit(ShellFunction("sleep 60", walltime=0.3)).result(30).returncode == 124
    with fabric.executor(walltime=0.5) as executor, pytest.raises(errors.TaskTimeout):
        executor.submit(ShellFunction("sleep 60")).result(30)


def test_a_missing_value_fails_the_task_and_says_which(fabric):
    with fabric.executor() as executor, pytest.raises(TypeError, match=r"a place \{code\}"):
        executor.submit(SAY, what="x").result(30)
