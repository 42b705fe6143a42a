"""Tasks that wait for others, on a whole fabric."""

import time

import pytest

from funcx.errors import DependencyError, TaskNotFound, TaskPending


def slow(path):
    import pathlib
    import time

    while not pathlib.Path(path).exists():
        time.sleep(0.02)
    return "first"


def write(path, text):
    import pathlib

    with pathlib.Path(path).open("a") as file:
        file.write(text)
    return text


def boom():
    raise ValueError("boom")


def result_of(client, task_id):
    give_up = time.monotonic() + 60
    while True:
        try:
            return client.get_result(task_id)
        except TaskPending:
            assert time.monotonic() < give_up
            time.sleep(0.05)


def test_a_chain_runs_in_order_also_when_the_service_is_killed_meanwhile(fresh_fabric, tmp_path):
    out, go_on = tmp_path / "out", tmp_path / "go-on"
    with fresh_fabric.executor("local") as executor:
        first = executor.submit(slow, str(go_on))
        middle = [executor.submit_after([first], write, str(out), "m") for _ in range(3)]
        last = executor.submit_after(middle, write, str(out), "z")
        fresh_fabric.kill_service()
        go_on.touch()
        fresh_fabric.start_service()
        assert last.result(timeout=90) == "z"
        assert out.read_text() == "mmmz"


def test_a_failure_reaches_all_that_wait_for_it_and_says_so(fabric):
    with fabric.executor("local") as executor:
        bad = executor.submit(boom)
        waiting = executor.submit_after(bad, abs, -1)
        last = executor.submit_after([waiting.task_id], abs, -1)
        with pytest.raises(DependencyError, match=bad.task_id) as caught:
            waiting.result(timeout=60)
        assert caught.value.upstream == bad.task_id
        with pytest.raises(DependencyError, match=waiting.task_id):
            last.result(timeout=60)
        with pytest.raises(TaskNotFound):
            executor.submit_after(["00000000-0000-4000-8000-000000000000"], abs, -1).result(timeout=60)


def test_a_batch_of_the_client_waits_too(fabric):
    client = fabric.client()
    function_id = client.register_function(abs)
    endpoint_id = fabric.id_of("local")
    first = client.run(-1, endpoint_id=endpoint_id, function_id=function_id)
    batch = client.create_batch(after=[first])
    batch.add(function_id, endpoint_id, args=(-2,))
    assert result_of(client, client.batch_run(batch)[0]) == 2
