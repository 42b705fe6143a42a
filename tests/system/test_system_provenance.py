"""Provenance of tasks of plain functions, on a whole fabric."""

import pytest

import funcx
from funcx_core.errors import TaskNotFound
from funcx_core.ids import new_task_id
from tests.support.fabric import eventually


def half(number):
    return number / 2


@pytest.fixture
def client(fabric):
    with fabric.client() as client:
        yield client


def test_of_a_registered_function_the_source_is_known(fabric, client):
    function_id = client.register_function(half)
    with fabric.executor() as executor:
        future = executor.submit_to_registered_function(function_id, args=(3,))
        assert future.result(60) == 1.5
    eventually(lambda: client.get_endpoint_environment("local"), "the endpoint has told what it has", timeout=30)
    found = funcx.provenance(future, client=client)
    assert found.code.source == "def half(number):\n    return number / 2\n"
    assert found.code.content_hash.startswith("sha256:")
    assert (found.where.endpoint, found.state) == ("local", "success")
    assert found.where.environments[0].packages["msgspec"]
    assert found.times.received <= found.times.started <= found.times.ended <= found.times.completed
    assert found.results[0].size > 0


def test_of_another_it_can_be_named(fabric, client):
    with fabric.executor() as executor:
        future = executor.submit(half, "text")
        assert isinstance(future.exception(60), TypeError)
    found = funcx.provenance(future, function=half, client=client)
    assert found.code.source.startswith("def half")
    assert found.error["type_name"] == "TypeError"
    assert "the source of the function" in " ".join(funcx.provenance(future.task_id, client=client).unknown)
    with pytest.raises(TaskNotFound):
        funcx.provenance(new_task_id(), client=client)
