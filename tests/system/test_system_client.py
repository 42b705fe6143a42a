"""`FuncXClient` on a whole fabric, as the documents show it."""

import sys
import time
from importlib import metadata

import pytest

from funcx_core import errors
from funcx_core.ids import new_endpoint_id, new_function_id, new_task_id
from tests.support.fabric import eventually


def funcx_sum(items):
    return sum(items)


def fails_on_purpose(number):
    table = {"a": 1}
    return table[number]


def pause(seconds):
    import time

    time.sleep(seconds)
    return seconds


def result_of(client, task_id, timeout=20.0):
    """Ask for the result as the documents do, until it is there."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            return client.get_result(task_id)
        except errors.TaskPending:
            assert time.monotonic() < deadline, client.get_task(task_id)
            time.sleep(0.02)


def test_the_tutorial_runs_with_only_the_endpoint_changed(fabric, monkeypatch):
    monkeypatch.setenv("FUNCX_HOME", str(fabric.home))
    from funcx.sdk.client import FuncXClient

    fxc = FuncXClient()
    func_uuid = fxc.register_function(funcx_sum, description="A summation function")
    items = [1, 2, 3, 4, 5]
    res = fxc.run(items, endpoint_id=fabric.endpoint_id, function_id=func_uuid)
    assert result_of(fxc, res) == 15


def test_what_there_is_on_an_endpoint_can_be_read_before_a_task_is_submitted(fabric):
    client = fabric.client()
    eventually(lambda: client.get_endpoint_environment(fabric.endpoint_id), "its manager has looked around")
    (found,) = client.get_endpoint_environment(fabric.endpoint_id)
    assert found.python_version == ".".join(map(str, sys.version_info[:3]))
    assert found.packages["msgspec"] == metadata.version("msgspec")
    assert "zmq" in found.modules
    assert found.cores >= 1
    assert found.memory_bytes > 2**28


def test_a_batch_is_one_request_and_its_results_come_together(fabric):
    client = fabric.client()
    function_id = client.register_function(funcx_sum)
    batch = client.create_batch()
    for number in range(20):
        batch.add([number, 1], endpoint_id=fabric.endpoint_id, function_id=function_id)
    task_ids = client.batch_run(batch)
    assert len(set(task_ids)) == 20
    eventually(
        lambda: not any(row["pending"] for row in client.get_batch_result(task_ids).values()),
        "all tasks of the batch have ended",
    )
    results = client.get_batch_result(task_ids)
    assert [results[task_id]["result"] for task_id in task_ids] == [number + 1 for number in range(20)]


def test_map_run_submits_a_call_for_each_item(fabric):
    client = fabric.client()
    function_id = client.register_function(funcx_sum)
    task_ids = client.map_run([[1, 2], [3, 4]], endpoint_id=fabric.endpoint_id, function_id=function_id)
    assert [result_of(client, task_id) for task_id in task_ids] == [3, 7]


def test_a_pending_task_says_so_and_a_finished_one_tells_where_its_time_went(fabric):
    client = fabric.client()
    function_id = client.register_function(pause)
    task_id = client.run(0.5, endpoint_id=fabric.endpoint_id, function_id=function_id)
    with pytest.raises(errors.TaskPending):
        client.get_result(task_id)
    assert result_of(client, task_id) == 0.5
    times = client.get_task(task_id)["times"]
    assert times["received"] <= times["started"] <= times["ended"] <= times["completed"]
    assert 0.4e9 < times["ended"] - times["started"] < 3e9


def test_the_exception_is_the_original_one_and_names_the_users_line(fabric):
    client = fabric.client()
    function_id = client.register_function(fails_on_purpose)
    task_id = client.run("b", endpoint_id=fabric.endpoint_id, function_id=function_id)
    with pytest.raises(KeyError) as caught:
        result_of(client, task_id)
    assert caught.value.args == ("b",)
    assert "return table[number]" in caught.value.funcx.traceback
    assert caught.value.funcx.task_id == task_id


def test_endpoints_are_listed_with_their_state(fabric):
    client = fabric.client()
    [row] = [row for row in client.get_endpoints() if row["name"] == "local"]
    assert row["state"] == "online"
    status = client.get_endpoint_status(row["uuid"])
    assert status["status"] == "online"
    assert status["details"]["workers"] == fabric.workers


# --- bad input: one clear typed error, and the fabric works on ---------------------------------------------------


def test_an_unknown_endpoint_is_named(fabric):
    client = fabric.client()
    function_id = client.register_function(funcx_sum)
    stranger = new_endpoint_id()
    with pytest.raises(errors.EndpointNotFound, match=stranger):
        client.run([1], endpoint_id=stranger, function_id=function_id)


def test_a_mistyped_endpoint_name_gets_a_suggestion(fabric):
    client = fabric.client()
    function_id = client.register_function(funcx_sum)
    with pytest.raises(errors.EndpointNotFound, match="Did you mean 'local'"):
        client.run([1], endpoint_id="locla", function_id=function_id)


def test_an_unknown_function_is_named(fabric):
    stranger = new_function_id()
    with pytest.raises(errors.FunctionNotFound, match=stranger):
        fabric.client().run([1], endpoint_id=fabric.endpoint_id, function_id=stranger)


def test_an_unknown_task_is_named(fabric):
    stranger = new_task_id()
    with pytest.raises(errors.TaskNotFound, match=stranger):
        fabric.client().get_result(stranger)


@pytest.mark.parametrize("text", ["", "not-an-id", "1e999502-b434-49a2-a2e0-d925383d2dd", "x" * 5000, "\x00", "日本"])
def test_a_malformed_id_is_refused(fabric, text):
    client = fabric.client()
    with pytest.raises(errors.InvalidId):
        client.get_result(text)
    with pytest.raises(errors.InvalidId):
        client.run([1], endpoint_id=fabric.endpoint_id, function_id=text)


def test_arguments_over_the_inline_limit_go_another_way_by_themselves(fabric):
    client = fabric.client()
    limit = client.get_limits()["max_payload"]
    function_id = client.register_function(len)
    task_id = client.run(b"x" * (limit + 1000), endpoint_id=fabric.endpoint_id, function_id=function_id)
    assert result_of(client, task_id) == limit + 1000


def test_an_argument_that_cannot_be_sent_is_refused_before_anything_is(fabric):
    client = fabric.client()
    function_id = client.register_function(funcx_sum)
    with pytest.raises(errors.SerializationError, match="generator"):
        client.run((number for number in range(3)), endpoint_id=fabric.endpoint_id, function_id=function_id)


def test_without_a_token_the_error_says_how_to_get_one(fabric):
    from funcx import FuncXClient

    with pytest.raises(errors.AuthRequired, match="funcx token"):
        FuncXClient(funcx_service_address=fabric.address).get_endpoints()


@pytest.mark.parametrize("token", ["fxt_wrong", "x", "a b", "é", "x" * 10_000])
def test_a_wrong_token_is_refused(fabric, token):
    from funcx import FuncXClient

    with pytest.raises(errors.AuthRequired):
        FuncXClient(funcx_service_address=fabric.address, token=token).get_endpoints()


def test_an_expired_token_is_refused(fabric):
    from funcx import FuncXClient

    made = fabric.run("funcx_core.service.cli", "token", "--days", "0.00001")
    token = made.stdout.strip()
    time.sleep(1.0)
    with pytest.raises(errors.AuthRequired, match="expired"):
        FuncXClient(funcx_service_address=fabric.address, token=token).get_endpoints()


def test_a_service_that_is_not_there_is_named(fabric):
    from funcx import FuncXClient

    client = FuncXClient(funcx_service_address="http://127.0.0.1:9/v2", token="x")
    start = time.monotonic()
    with pytest.raises(errors.ServiceUnavailable, match=r"127\.0\.0\.1:9"):
        client.get_endpoints()
    assert time.monotonic() - start < 20
