"""Maps on a whole fabric: as users see them, and what is left of them when something dies."""

import itertools
import sqlite3
import time

import pytest

import funcx
from funcx_core.errors import EndpointNotFound, MapNotFound, SerializationError, TaskCancelled, UsageError
from tests.support.fabric import eventually
from tests.support.ledger import Ledger


def square(number):
    return number * number


def inverse(number):
    return 1 / number


def pause(seconds):
    import time

    time.sleep(seconds)
    return seconds


def deadly(number):
    import os

    if number == 13:
        os._exit(3)
    return number


@pytest.fixture
def client(fabric):
    with fabric.client() as client:
        yield client


def rows(fabric, table):
    with sqlite3.connect(f"file:{fabric.home / 'service' / 'funcx.db'}?mode=ro", uri=True) as database:
        return database.execute(f"SELECT count(*) FROM {table}").fetchone()[0]


def test_results_come_in_order_and_again(fabric, client):
    squares = funcx.map(square, range(5000), client=client, name="squares")
    assert list(squares) == [n * n for n in range(5000)]
    assert len(squares) == 5000
    assert squares.results() == list(squares)
    assert squares[4999] == 4999 * 4999
    assert squares.wait(30)
    progress = squares.progress()
    assert (progress.size, progress.succeeded, progress.open) == (5000, 5000, 0)
    assert "5,000 succeeded" in str(progress)
    assert squares.failures() == {}
    assert client.get_maps()[0]["name"] == "squares"
    assert squares.map_id in repr(squares)
    with pytest.raises(IndexError):
        squares[5000]


def test_two_hundred_thousand_calls_are_less_than_a_thousand_rows(fabric, client):
    before = rows(fabric, "tasks")
    squares = funcx.map(square, (n for n in range(200_000)), client=client)
    assert sum(squares) == sum(n * n for n in range(200_000))
    assert rows(fabric, "tasks") - before < 1000
    assert squares.progress().ranges < 1000


def test_each_call_fails_by_itself_and_is_run_again_by_itself(fabric, client, tmp_path):
    ledger = Ledger(tmp_path / "ledger")
    flag = tmp_path / "mended"

    def brittle(path, flag, number):
        import pathlib

        with open(path, "a") as file:  # noqa: PTH123 - runs on a worker
            file.write(f"{number}\n")
        if number % 10 == 3 and not pathlib.Path(flag).exists():
            raise ValueError(number)
        return number

    repeat = itertools.repeat
    made = funcx.map(brittle, repeat(str(ledger.path)), repeat(str(flag)), range(50), client=client, chunksize=20)
    assert [type(each) for each in made.results(return_exceptions=True, timeout=60)].count(ValueError) == 5
    failures = made.failures()
    assert list(failures) == [3, 13, 23, 33, 43]
    assert failures[13].args == (13,)
    assert "brittle" in failures[13].funcx.traceback
    with pytest.raises(ValueError, match="3"):
        list(made)
    with pytest.raises(ValueError, match="43"):
        made[43]
    assert made.resume() == 0
    flag.touch()
    assert made.retry() == 5
    assert made.results(timeout=60) == list(range(50))
    assert made.failures() == {}
    runs = ledger.path.read_text().split()
    assert sorted(map(int, runs)) == sorted([*range(50), 3, 13, 23, 33, 43])


def test_a_call_that_kills_its_worker_is_found(fabric, client):
    made = funcx.map(deadly, range(100), client=client, chunksize=100)
    assert made.wait(60)
    assert made.progress().lost == 100
    resumed = []
    while count := made.resume():
        resumed.append(count)
        assert made.wait(60)
    assert resumed == [100, 10]
    progress = made.progress()
    assert (progress.succeeded, progress.failed, progress.lost) == (99, 1, 0)
    assert list(made.failures()) == [13]
    assert [each for each in made.results(return_exceptions=True) if isinstance(each, int)] == [
        number for number in range(100) if number != 13
    ]


def test_cancelled_half_way_and_resumed_by_another_process(fabric, client, tmp_path):
    ledger = Ledger(tmp_path / "ledger")

    def slow(path, number):
        import time

        time.sleep(0.02)
        with open(path, "a") as file:  # noqa: PTH123 - runs on a worker
            file.write(f"{number}\n")
        return number

    made = funcx.map(slow, itertools.repeat(str(ledger.path)), range(300), client=client, chunksize=50)
    eventually(lambda: ledger.path.exists() and len(ledger.path.read_text().split()) > 60, "some calls are done")
    made.cancel()
    assert made.wait(30)
    progress = made.progress()
    assert 60 <= progress.succeeded < 300
    assert progress.cancelled == 300 - progress.succeeded
    kept = [each for each in made.results(return_exceptions=True, timeout=30) if isinstance(each, int)]
    assert len(kept) == progress.succeeded
    with pytest.raises(TaskCancelled):
        list(made)
    script = f"""
import funcx
made = funcx.FuncXClient().get_map({made.map_id!r})
print(made.resume())
print(made.results(timeout=60) == list(range(300)))
"""
    done = fabric.script(script)
    assert done.stdout.split() == [str(300 - progress.succeeded), "True"], done.stderr
    runs = [int(number) for number in ledger.path.read_text().split()]
    assert set(runs) == set(range(300))
    # What was under way when it was cancelled may have run to its last line, nothing else ran twice.
    assert len(runs) - 300 <= fabric.workers


def test_nothing_is_lost_when_the_service_is_killed_in_the_middle(fresh_fabric, tmp_path):
    ledger = Ledger(tmp_path / "ledger")

    def noted(path, number):
        import time

        time.sleep(0.005)
        with open(path, "a") as file:  # noqa: PTH123 - runs on a worker
            file.write(f"{number}\n")
        return number

    with fresh_fabric.client() as client:
        made = funcx.map(noted, itertools.repeat(str(ledger.path)), range(600), client=client, chunksize=30)
        eventually(lambda: ledger.path.exists() and len(ledger.path.read_text().split()) > 100, "it is in the middle")
        fresh_fabric.kill_service()
        fresh_fabric.start_service()
        assert made.results(timeout=60) == list(range(600))
        assert made.wait(30)
        assert made.progress().succeeded == 600
    assert sorted(map(int, ledger.path.read_text().split())) == list(range(600))


def test_progress_is_told_while_a_range_runs(fabric, client):
    made = funcx.map(pause, [0.1] * 30, client=client, chunksize=30)
    told = eventually(lambda: made.progress().progressed, "progress", timeout=30)
    assert 0 < told < 30
    made.cancel()
    assert made.wait(30)
    assert made.progress().succeeded >= told


def test_a_map_is_found_by_its_owner_only_and_can_be_deleted(fabric, client):
    made = funcx.map(square, range(10), client=client)
    assert made.wait(30)
    again = client.get_map(made.map_id)
    assert (list(again), len(again)) == ([n * n for n in range(10)], 10)
    again.delete()
    with pytest.raises(MapNotFound):
        client.get_map(made.map_id)


def test_what_cannot_be_is_said_at_once(fabric, client):
    with pytest.raises(UsageError):
        funcx.map(square, client=client)
    with pytest.raises(UsageError, match="chunksize"):
        funcx.map(square, [1], chunksize=0, client=client)
    with pytest.raises(EndpointNotFound):
        funcx.map(square, [1], endpoint="nowhere", client=client)
    with pytest.raises(EndpointNotFound):
        funcx.map(square, [1], endpoint="00000000-0000-4000-8000-0000000000e1", client=client)
    with pytest.raises(SerializationError):
        funcx.map(square, [1, (n for n in range(3))], client=client)
    assert list(funcx.map(square, [], client=client)) == []


def test_an_executor_maps_in_chunks_as_the_standard_library_does(fabric):
    with fabric.executor() as executor:
        results = executor.map(inverse, [4, 2, 0, 1], chunksize=4)
        assert [next(results), next(results)] == [0.25, 0.5]
        with pytest.raises(ZeroDivisionError):
            next(results)
        assert list(executor.map(pow, range(10), range(10), chunksize=3)) == [n**n for n in range(10)]
        started = time.monotonic()
        endless = executor.map(pause, [0, *[5] * 50], chunksize=1)
        assert next(endless) == 0
        endless.close()
    assert time.monotonic() - started < 40


def test_published_map_run_gives_an_id_for_each_call(fabric, client):
    def add(a, b, c=0):
        return a + b + c

    function_id = client.register_function(add)
    before = rows(fabric, "tasks")
    task_ids = client.map_run(range(3000), range(3000), endpoint_id=fabric.endpoint_id, function_id=function_id, c=1)
    assert len(set(task_ids)) == 3000
    assert rows(fabric, "tasks") - before <= 1000
    found = eventually(
        lambda: (
            (batch := client.get_batch_result(task_ids)) and all("result" in each for each in batch.values()) and batch
        ),
        "all have ended",
        timeout=60,
    )
    assert [found[task_id]["result"] for task_id in task_ids] == [2 * n + 1 for n in range(3000)]
    assert client.get_result(task_ids[7]) == 15
