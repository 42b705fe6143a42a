"""Priority and resources, from what users write to what travels."""

from __future__ import annotations

import msgspec
import pytest

from funcx_core.errors import InvalidId, InvalidRequest
from funcx_core.ids import new_task_id
from funcx_core.protocol.resources import Resources
from funcx_core.protocol.task import TaskOptions
from funcx_core.sdk.client import FuncXClient
from funcx_core.sdk.executor import FuncXExecutor
from funcx_core.sdk.futures import FuncXFuture
from funcx_core.sdk.options import as_resources, task_options, upstream_ids
from funcx_core.service.checks import check_options


def test_resources_have_the_names_of_all_releases():
    assert as_resources({"cpus": 4, "mem": 1.5, "gpu": 1}) == Resources(cores=4, memory_gb=1.5, accelerators=1)
    assert as_resources({"num_nodes": 2, "ranks_per_node": 3, "num_ranks": 6}) == Resources(
        nodes=2, ranks_per_node=3, ranks=6
    )
    assert as_resources({}) is None


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"core": 4}, r"there is no 'core'. Did you mean 'cores'\? Known are cores, memory_gb"),
        ({"cores": 4, "cpus": 4}, "'cores' is given twice"),
        ({"cores": 0}, "'cores' is 0; it must be more than 0"),
        ({"memory_gb": float("inf")}, "'memory_gb' is inf"),
        ({"accelerators": -1}, "'accelerators' is -1"),
        ({"cores": "many"}, "Expected `float"),
        ({"nodes": 0}, "'nodes' is 0; it must be 1 to"),
        ({"nodes": 2, "ranks_per_node": 2, "ranks": 5}, "2 nodes with 2 each make 4"),
    ],
)
def test_what_cannot_be_is_named(given, message):
    with pytest.raises(ValueError, match=message):
        as_resources(given)


def test_defaults_cost_nothing_on_the_wire():
    assert msgspec.msgpack.encode(task_options(None, None, 0)) == msgspec.msgpack.encode({})
    assert msgspec.to_builtins(task_options(None, None, 0, 7, {"cores": 2})) == {
        "priority": 7,
        "resources": {"cores": 2},
    }


@pytest.mark.parametrize("options", [TaskOptions(priority=101), TaskOptions(resources=Resources(cores=-1))])
def test_the_service_refuses_what_the_client_let_through(options):
    with pytest.raises(InvalidRequest, match=r"'(priority|cores)' is"):
        check_options(options)


def test_an_executor_has_them_as_attributes():
    executor = FuncXExecutor("theta", walltime=5, retry_on_loss=1, priority=3, resource_specification={"num_nodes": 2})
    assert (executor.priority, executor.resource_specification) == (3, {"nodes": 2})
    executor.resources = {"cores": 4}
    executor.priority = -3
    executor.container_id = None
    assert executor._options == TaskOptions(walltime=5, retry_on_loss=1, priority=-3, resources=Resources(cores=4))
    with pytest.raises(ValueError, match="'priority' is 200; it must be -100 to 100"):
        executor.priority = 200


def test_a_batch_takes_them_for_all_its_calls():
    client = FuncXClient(funcx_service_address="http://127.0.0.1:9", token="secret")
    batch = client.create_batch(priority=5, resources={"cores": 2})
    assert batch.prepare()["options"] == {"priority": 5, "resources": {"cores": 2}}
    assert "options" not in client.create_batch().prepare()


def test_what_a_task_waits_for_is_given_as_ids_or_futures_each_once():
    first, second = new_task_id(), new_task_id()
    future = FuncXFuture(first)
    assert task_options(None, None, 0, after=[future, second, first]).after == (first, second)
    assert task_options(None, None, 0, after=future).after == (first,)
    assert task_options(None, None, 0, after=second).after == (second,)


def test_futures_are_waited_for_until_the_service_has_them_and_ended_ones_not():
    class Stream:
        flushed = 0

        def flush(self, timeout=None):
            self.flushed += 1
            return True

    stream = Stream()
    ended, fresh = FuncXFuture(new_task_id(), stream), FuncXFuture(new_task_id(), stream)
    ended.set_result(1)
    upstream_ids([ended])
    assert stream.flushed == 0
    upstream_ids([fresh])
    assert stream.flushed == 1


def test_what_is_no_task_or_too_many_of_them_is_refused():
    with pytest.raises(InvalidId, match="sim"):
        upstream_ids(["sim"])
    with pytest.raises(ValueError, match="at most 64"):
        upstream_ids([new_task_id() for _ in range(65)])


@pytest.mark.parametrize("wrong", [{"walltime": "60"}, {"walltime": -1}, {"retry_on_loss": "2"}, {"retry_on_loss": 11}])
def test_a_number_that_cannot_be_is_quoted(wrong):
    (value,) = wrong.values()
    with pytest.raises(ValueError, match=f"is {value!r}; it must be a "):
        task_options(None, **{"walltime": None, "retry_on_loss": 0, **wrong})
