"""The client's methods about whitelists, containers, locks, searches and brokers: what they send and what they return."""

from __future__ import annotations

import pickle

import pytest

from funcx_core import __version__
from funcx_core.errors import InvalidId, NoMessageBroker, UsageError
from funcx_core.ids import new_function_id
from funcx_core.sdk.client import FuncXClient
from funcx_core.sdk.executor import FuncXExecutor
from funcx_core.sdk.futures import FuncXFuture
from funcx_core.sdk.search import FunctionSearchResults
from tests.unit.sdk.fake_service import ENDPOINTS, TOKEN, FakeService

THETA = ENDPOINTS[0]["uuid"]


@pytest.fixture
def service():
    with FakeService() as running:
        yield running


@pytest.fixture
def client(service):
    address = service.settings.service_address
    with FuncXClient(funcx_service_address=address, token=TOKEN, do_version_check=False) as made:
        made.throttling_enabled = False
        yield made


def test_a_whitelist_grows_and_shrinks(client, service):
    first, second = new_function_id(), new_function_id()
    client.add_to_whitelist("theta", [first])
    client.add_to_whitelist(THETA, second)
    assert client.get_whitelist(THETA)["result"] == [first, second]
    assert len(client.delete_from_whitelist(THETA, [first, second])) == 2
    assert service.whitelist == []
    assert ("DELETE", f"/v2/endpoints/{THETA}/whitelist/{first}") in service.requests
    client.add_to_whitelist(THETA, "sha256:" + "0" * 64)
    assert service.whitelist == ["sha256:" + "0" * 64]
    with pytest.raises(InvalidId, match="function id"):
        client.add_to_whitelist(THETA, ["nonsense"])


def test_containers_are_registered_and_found(client, service):
    container_id = client.register_container("docker://python:3.12", "docker", name="py", description="Python")
    assert service.bodies[-1] == {
        "name": "py",
        "location": "docker://python:3.12",
        "description": "Python",
        "type": "docker",
    }
    found = client.get_container(container_id, "singularity")
    assert (found["location"], found["asked"]) == ("docker://python:3.12", "singularity")
    assert client.get_containers("theta", description="mine")[0] == "u"
    assert service.bodies[-1] == {"endpoint_name": "theta", "description": "mine"}
    with pytest.raises(InvalidId, match="container id"):
        client.get_container("nonsense", "docker")


@pytest.mark.parametrize("method", ["lock_endpoint", "stop_endpoint"])
def test_an_endpoint_is_locked(client, service, method):
    assert getattr(client, method)("theta") == {"endpoint_id": THETA, "locked": True}
    assert (service.requests[-1], service.bodies[-1]) == (("POST", f"/v2/endpoints/{THETA}/lock"), {})


def test_an_endpoint_is_unlocked(client, service):
    client.unlock_endpoint("theta")
    assert service.requests[-1] == ("DELETE", f"/v2/endpoints/{THETA}/lock")


def double(x):
    """Doubles."""
    return 2 * x


def test_a_searchable_function_brings_its_source(client, service):
    client.register_function(double)
    body = service.bodies[-1]
    assert body["function_source"].startswith('def double(x):\n    """Doubles."""')
    assert (body["entry_point"], body["searchable"], body["public"]) == ("double", True, False)
    client.register_function(double, searchable=False, public=True, group="lab", container_uuid=None)
    body = service.bodies[-1]
    assert (body["function_source"], body["searchable"], body["public"], body["group"]) == ("", False, True, "lab")
    client.register_function(eval("lambda x: x"), function_name="same")
    assert (service.bodies[-1]["function_source"], service.bodies[-1]["function_name"]) == ("", "same")


def test_a_deleted_endpoint_is_looked_up_again(client, service):
    client.delete_endpoint("theta")
    assert service.requests[-1] == ("DELETE", f"/v2/endpoints/{THETA}")
    client.find_endpoint("theta")
    assert service.requests[-1] == ("GET", "/v2/endpoints")


def test_functions_are_looked_at_and_deleted(client, service):
    function_id = new_function_id()
    assert client.get_function(function_id)["function_uuid"] == function_id
    client.delete_function(function_id)
    assert service.requests[-1] == ("DELETE", f"/v2/functions/{function_id}")


def test_a_search_asks_for_a_page(client, service):
    found = client.search_function("a b&c", offset=3, limit=2, advanced=True)
    assert service.bodies[-1] == "q=a+b%26c&offset=3&limit=2&advanced=true"
    assert [row["function_name"] for row in found] == ["double"]
    for bad in ({"offset": -1}, {"limit": 0}):
        with pytest.raises(UsageError, match="offset is"):
            client.search_function("x", **bad)


def test_search_results_print_as_a_table(capsys):
    rows = [
        {"function_name": "add", "description": "adds\nthings \x1b[31m" + "x" * 80, "function_uuid": "1"},
        {"function_name": "multiply", "function_uuid": "2", "function_source": "def multiply(): ..."},
    ]
    found = FunctionSearchResults({"results": rows, "offset": 0, "total": 9})
    lines = str(found).splitlines()
    assert [line.split()[0] for line in lines] == ["function_name", "-------------", "add", "multiply", "1"]
    assert len({line.index(mark) for line, mark in zip(lines[2:4], "12", strict=True)}) == 1
    assert "\x1b" not in str(found)
    assert lines[-1] == "1 to 2 of 9; offset=2 shows more."
    assert str(FunctionSearchResults({})) == "No function was found."
    found.load_result(1)
    found.load_result(0)
    assert capsys.readouterr().out == "def multiply(): ...\nThe service has no source of this function.\n"


def test_without_a_broker_the_error_says_so(client, service):
    with pytest.raises(NoMessageBroker, match="No message broker is configured"):
        client.get_result_amqp_url()
    service.broker = {"queue_prefix": "p.", "connection_url": "amqp://u:p@h/"}
    assert client.get_result_amqp_url() == service.broker


def test_a_program_can_say_its_name(client, service):
    client.get_endpoints()
    assert service.agents[-1].split(" ")[0] == f"funcx-sdk-{__version__}"
    client.user_app_name = "my-workflow/2.0"
    client.get_endpoints()
    assert service.agents[-1].endswith(" my-workflow/2.0")
    assert client.user_app_name == "my-workflow/2.0"
    for bad in ("a\r\nX-Evil: 1", "ä"):
        with pytest.raises(UsageError, match="printable ASCII"):
            client.user_app_name = bad
    client.user_app_name = None
    client.get_endpoints()
    assert "workflow" not in service.agents[-1]


def test_the_order_of_register_endpoint_is_that_of_1_0_6(client, service):
    client.register_endpoint("mine", THETA, {"cores": 8}, "1.0.6", multi_tenant=True)
    assert service.bodies[-1] == {
        "endpoint_name": "mine",
        "endpoint_uuid": THETA,
        "version": "1.0.6",
        "meta": {"cores": 8},
        "multi_tenant": True,
    }


def test_what_is_mistaken_for_an_id_is_told(client):
    with pytest.raises(UsageError, match=r"client\.register_function\(abs\) returns"):
        client.create_batch().add(abs, "theta", args=(1,))
    with pytest.raises(UsageError, match=r"get_batch_result\(\['019a'\]\)"):
        client.get_batch_result("019a")


def test_clients_executors_and_futures_stay_in_their_process(client):
    for stays in (client, FuncXExecutor("theta", funcx_client=client), FuncXFuture("t")):
        with pytest.raises(TypeError, match="stays in its process"):
            pickle.dumps(stays)


def test_a_batch_shows_what_it_sends(client):
    batch = client.create_batch(create_websocket_queue=True)
    batch.add("f", "e", (1,))
    body = batch.prepare()
    assert body["task_group_id"] == client.session_task_group_id
    assert body["create_websocket_queue"] is True
    assert body["tasks"] == batch.tasks
    assert batch.tasks[0][:2] == ("f", "e")
    with pytest.raises(InvalidId, match="task group id"):
        client.create_batch("nonsense")
