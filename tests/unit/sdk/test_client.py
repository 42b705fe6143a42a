"""`FuncXClient` against a service in this process, and the parts it is made of."""

from __future__ import annotations

import pytest

from funcx_core.errors import (
    AuthRequired,
    EndpointNotFound,
    FunctionNotFound,
    FuncxError,
    InvalidId,
    PayloadTooLarge,
    RateLimited,
    SerializationError,
    ServiceUnavailable,
    TaskCancelled,
    TaskNotFound,
    TaskPending,
    UsageError,
)
from funcx_core.ids import new_function_id, new_task_id
from funcx_core.sdk.batch import Batch
from funcx_core.sdk.client import FuncXClient
from funcx_core.sdk.wire_errors import error_from_response, error_from_wire
from tests.unit.sdk.fake_service import ENDPOINTS, TOKEN, FakeService

THETA = ENDPOINTS[0]["uuid"]


def double(x, plus=0):
    return x * 2 + plus


def fail(x):
    raise KeyError(x)


@pytest.fixture
def service():
    with FakeService() as running:
        yield running


@pytest.fixture
def client(service):
    with FuncXClient(funcx_service_address=service.settings.service_address, token=TOKEN) as made:
        yield made


def test_the_tutorial_works(client):
    def funcx_sum(items):
        return sum(items)

    function_id = client.register_function(funcx_sum, description="A summation function")
    task_id = client.run([1, 2, 3, 4, 5], endpoint_id=THETA, function_id=function_id)
    assert client.get_result(task_id) == 15
    assert client.get_task_status(task_id)["status"] == "success"


def test_an_open_task_is_pending_with_its_reason(client, service):
    service.held = True
    task_id = client.run(1, endpoint_id="theta", function_id=client.register_function(double))
    with pytest.raises(TaskPending, match="waiting-for-ep") as raised:
        client.get_result(task_id)
    assert (raised.value.reason, raised.value.task_id) == ("waiting-for-ep", task_id)
    assert client.get_task_status(task_id) == {"task_id": task_id, "status": "waiting-for-ep", "pending": True}
    assert "result" not in client.get_batch_result([task_id])[task_id]


def test_a_task_tells_what_became_of_it(client, service):
    function_id = client.register_function(double)
    ended = client.get_task(client.run(21, endpoint_id=THETA, function_id=function_id))
    assert (ended["status"], ended["pending"], ended["result"], "completion_t" in ended) == ("success", False, 42, True)
    failed = client.get_task(client.run("k", endpoint_id=THETA, function_id=client.register_function(fail)))
    assert (failed["status"], failed["pending"], type(failed["exception"])) == ("failed", False, KeyError)
    assert not {"result", "error"} & set(failed)
    service.held = True
    open_task = client.get_task(client.run(1, endpoint_id=THETA, function_id=function_id))
    assert (open_task["pending"], "result" in open_task) == (True, False)


def test_an_exception_of_the_function_is_raised_as_itself(client):
    task_id = client.run("k", endpoint_id=THETA, function_id=client.register_function(fail))
    with pytest.raises(KeyError) as raised:
        client.get_result(task_id)
    assert raised.value.funcx.task_id == task_id
    assert raised.value.funcx.frames[-1].name == "fail"


def test_a_batch_is_one_request(client, service):
    function_id = client.register_function(double)
    batch = client.create_batch()
    for n in range(3):
        batch.add(function_id, "theta", (n,), {"plus": 1})
    task_ids = client.batch_run(batch)
    found = client.get_batch_result(task_ids)
    assert [found[task_id]["result"] for task_id in task_ids] == [1, 3, 5]
    assert client.get_batch_status(task_ids) == found
    assert sum(path == "/v2/submit" for _, path in service.requests) == 1


def test_map_run_submits_a_call_per_item(client):
    task_ids = client.map_run([1, 2], [10, 20], endpoint_id=THETA, function_id=client.register_function(double))
    assert [client.get_result(task_id) for task_id in task_ids] == [12, 24]
    assert client.map_run([], endpoint_id=THETA, function_id=new_function_id()) == []


def test_the_forms_of_batch_add():
    batch = Batch()
    batch.add("f", "e", (1,), {"k": 2})
    batch.add("f", "e", args=[1], kwargs={"k": 2})
    batch.add(function_id="f", endpoint_id="e", args=(1,), kwargs={"k": 2})
    batch.add(1, endpoint_id="e", function_id="f", k=2)
    assert batch.calls == [("f", "e", (1,), {"k": 2})] * 4
    batch.add(endpoint_id="e", function_id="f")
    assert (batch.calls[-1], len(batch)) == (("f", "e", (), {}), 5)
    with pytest.raises(UsageError):
        batch.add(1)


def test_what_is_unknown_or_malformed_is_named(client):
    function_id = client.register_function(double)
    with pytest.raises(FunctionNotFound):
        client.run(1, endpoint_id=THETA, function_id=new_function_id())
    with pytest.raises(EndpointNotFound, match="Did you mean 'theta'"):
        client.run(1, endpoint_id="thet", function_id=function_id)
    with pytest.raises(InvalidId, match="function id"):
        client.run(1, endpoint_id=THETA, function_id="nonsense")
    with pytest.raises(InvalidId, match="task id"):
        client.get_result("nonsense")
    with pytest.raises(UsageError, match="Name both"):
        client.run(1)
    with pytest.raises(SerializationError, match="Argument 1"):
        client.run((n for n in ()), endpoint_id=THETA, function_id=function_id)


def test_a_partly_accepted_batch_names_what_was_accepted(client):
    batch = client.create_batch()
    batch.add(client.register_function(double), THETA, (1,))
    batch.add(new_function_id(), THETA, (1,))
    with pytest.raises(FunctionNotFound) as raised:
        client.batch_run(batch)
    assert len(raised.value.task_ids) == 2
    assert client.get_result(raised.value.accepted[0]) == 2


def test_a_task_is_cancelled(client, service):
    service.held = True
    task_id = client.run(1, endpoint_id=THETA, function_id=client.register_function(double))
    client.cancel_task(task_id)
    with pytest.raises(TaskCancelled):
        client.get_result(task_id)


def test_endpoints_are_listed_registered_and_found_by_name(client):
    assert [endpoint["name"] for endpoint in client.get_endpoints()] == ["theta", "local"]
    assert client.get_endpoint_status("local")["uuid"] == ENDPOINTS[1]["uuid"]
    made = client.register_endpoint("mine", THETA, public_key="k" * 40)
    assert (made["endpoint_id"], made["endpoint_name"], made["public_key"]) == (THETA, "mine", "k" * 40)


def test_a_busy_service_is_tried_again_with_the_same_ids(client, service):
    function_id = client.register_function(double)
    service.answer_status = [503, 502]
    task_id = client.run(4, endpoint_id=THETA, function_id=function_id)
    assert client.get_result(task_id) == 8
    assert sum(path == "/v2/submit" for _, path in service.requests) == 3
    assert len(service.runs) == 1


def test_a_connection_that_was_closed_while_idle_is_opened_again(client, service):
    client.get_endpoints()
    for connection in client._web._pool._idle:
        connection.sock.close()
    assert client.get_endpoints()


def test_a_service_that_is_not_there_is_an_error_that_says_so(monkeypatch):
    monkeypatch.setattr("time.sleep", lambda _: None)
    with (
        FuncXClient(funcx_service_address="http://127.0.0.1:9", token="t") as client,
        pytest.raises(
            ServiceUnavailable, match=r"Cannot reach http://127.0.0.1:9/v2 \(.*refused.*6 tries.*funcx status"
        ),
    ):
        client.get_endpoints()


def test_a_token_that_is_not_accepted_is_an_error(service):
    with (
        FuncXClient(funcx_service_address=service.settings.service_address, token="no") as client,
        pytest.raises(AuthRequired),
    ):
        client.get_endpoints()


def test_an_unknown_task_is_named(client):
    found = client.get_batch_result([new_task_id()])
    assert isinstance(next(iter(found.values()))["exception"], TaskNotFound)


@pytest.mark.parametrize(
    ("status", "body", "cls"),
    [
        (401, {}, AuthRequired),
        (404, {"code": 6, "reason": "x"}, TaskNotFound),
        (413, {"name": "task_payload_too_large", "message": "big"}, PayloadTooLarge),
        (418, {"message": "teapot"}, UsageError),
        (429, {}, RateLimited),
        (500, {}, ServiceUnavailable),
    ],
)
def test_a_response_is_the_error_it_reports(status, body, cls):
    error = error_from_response(status, body)
    assert type(error) is cls
    assert str(error) == body.get("message", body.get("reason", str(error)))


def test_an_unknown_code_is_still_an_error_of_ours():
    assert isinstance(error_from_wire("brand_new", "text"), FuncxError)
