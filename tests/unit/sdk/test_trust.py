"""Results of endpoints of one's own are loaded whole, those of others as plain data."""

from __future__ import annotations

import dataclasses
import os

import numpy as np
import pytest

from funcx_core.errors import RemoteTaskError, ResultLoadError, ResultNotTrusted, ServiceUnavailable
from funcx_core.protocol.task import TaskResult, TaskState
from funcx_core.sdk.client import FuncXClient
from funcx_core.sdk.executor import FuncXExecutor
from funcx_core.sdk.trust import STRANGER, VARIABLE, TrustedEndpoints, TrustingReader
from funcx_core.serialize import describe_exception, pack_value
from tests.unit.sdk.fake_service import TOKEN, FakeService

MINE = "11111111-1111-4111-8111-111111111111"
SHARED = "22222222-2222-4222-8222-222222222222"
PUBLIC = "33333333-3333-4333-8333-333333333333"  # not listed
ROWS = [
    {"uuid": MINE, "name": "theta", "state": "online"},
    {"uuid": SHARED, "name": "cluster", "state": "online", "owned": False},
]


@dataclasses.dataclass
class Particle:
    mass: float


class OwnError(Exception):
    pass


def make_particle(mass):
    return Particle(mass)


def plain(x):
    return [x, {"x": x}]


def fail_with(name):
    raise {"KeyError": KeyError, "OwnError": OwnError}[name]("why")


class Touch:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def success(value):
    return TaskResult("t", 1, TaskState.SUCCESS, pack_value(value))


def trusted(*named, rows=ROWS, asked=None):
    def list_endpoints():
        if asked is not None:
            asked.append(1)
        return rows

    return TrustedEndpoints(named, list_endpoints)


def test_ones_own_endpoints_are_trusted_and_nobody_elses():
    found = trusted()
    assert MINE in found
    assert SHARED not in found
    assert PUBLIC not in found
    assert "" not in found


def test_the_service_is_asked_once_for_all_of_ones_own():
    asked = []
    found = trusted(asked=asked)
    assert [MINE in found for _ in range(3)] == [True, True, True]
    assert [SHARED in found for _ in range(3)] == [False, False, False]
    assert len(asked) == 2


def test_what_is_known_from_a_listing_is_not_asked_for():
    asked = []
    found = trusted(asked=asked)
    found.learn(ROWS)
    assert MINE in found
    assert asked == []


def test_named_endpoints_are_trusted_by_id_or_name():
    assert SHARED in trusted(SHARED)
    assert PUBLIC in trusted(PUBLIC.upper())
    assert SHARED in trusted("cluster")
    assert SHARED in TrustedEndpoints(f"x, {SHARED}", list)
    assert PUBLIC not in trusted("cluster")


def test_a_stranger_gains_nothing_by_a_name_that_is_trusted():
    namesake = {"uuid": PUBLIC, "name": "cluster", "owned": False}
    found = trusted("cluster", rows=[*ROWS, namesake])
    assert PUBLIC not in found
    assert SHARED not in found


@pytest.mark.parametrize("owned", [False, None, 0, "yes"])
def test_only_a_plain_yes_is_ownership(owned):
    assert MINE not in trusted(rows=[{"uuid": MINE, "name": "theta", "owned": owned}])


def test_the_environment_names_endpoints_for_all_clients(monkeypatch):
    monkeypatch.setenv(VARIABLE, f"cluster,{PUBLIC}")
    found = TrustedEndpoints(None, lambda: ROWS)
    assert PUBLIC in found
    assert SHARED in found
    assert SHARED not in TrustedEndpoints((), lambda: ROWS)


def test_a_trusted_result_is_whole():
    assert TrustingReader(lambda _: True).open(success(Particle(1.0))) == (Particle(1.0), None)


def test_a_stranger_gives_plain_data():
    value, error = STRANGER.open(success({"array": np.arange(3), "text": "ü"}))
    assert error is None
    assert value["array"].tolist() == [0, 1, 2]


def test_a_stranger_runs_nothing_here(tmp_path):
    canary = tmp_path / "canary"
    value, error = STRANGER.open(success(Touch(canary)))
    assert value is None
    assert isinstance(error, ResultNotTrusted)
    assert isinstance(error, ResultLoadError)
    assert not canary.exists()
    assert "posix.system" in str(error)
    assert "FUNCX_TRUSTED_ENDPOINTS" in str(error)
    assert error.details["raw"].startswith(b"pb\n")
    assert error.code == "result_not_trusted"


def test_an_exception_of_a_stranger_runs_nothing_here(tmp_path):
    canary = tmp_path / "canary"

    class Trap(Exception):
        def __reduce__(self):
            return os.system, (f"touch {canary}",)

    described = describe_exception(OwnError("why"))
    described = type(described)(
        code=described.code,
        message="why",
        type_name="OwnError",
        module="theirs",
        traceback="...",
        exception=pack_value(Touch(canary)),
    )
    _, error = STRANGER.open(TaskResult("t", 1, TaskState.FAILED, error=described))
    assert isinstance(error, RemoteTaskError)
    assert not canary.exists()


def test_builtin_exceptions_of_a_stranger_are_themselves():
    _, error = STRANGER.open(TaskResult("t", 1, TaskState.FAILED, error=describe_exception(KeyError("k"))))
    assert isinstance(error, KeyError)


def test_while_the_service_cannot_be_asked_plain_data_is_still_read():
    def unreachable(_):
        raise ServiceUnavailable("The service cannot be reached.")

    reader = TrustingReader(unreachable)
    assert reader.open(success([1, 2])) == ([1, 2], None)
    _, error = reader.open(success(Particle(1.0)))
    assert isinstance(error, ResultLoadError)
    assert "ServiceUnavailable" in str(error)


def test_a_reader_that_asks_late_asks_only_where_it_matters():
    asked = []

    def trusts(task_id):
        asked.append(task_id)
        return True

    reader = TrustingReader(trusts, asks_first=False)
    assert reader.open(success(1)) == (1, None)
    assert asked == []
    assert reader.open(success(Particle(2.0))) == (Particle(2.0), None)
    assert asked == ["t"]


@pytest.fixture
def service():
    with FakeService() as running:
        running.endpoints = ROWS
        yield running


def client_of(service, **options):
    return FuncXClient(funcx_service_address=service.settings.service_address, token=TOKEN, **options)


def test_the_client_reads_by_the_endpoint_that_ran_the_task(service):
    with client_of(service) as client:
        function_id = client.register_function(make_particle)
        assert client.get_result(client.run(2.0, endpoint_id=MINE, function_id=function_id)) == Particle(2.0)
        task_id = client.run(2.0, endpoint_id=SHARED, function_id=function_id)
        with pytest.raises(ResultNotTrusted):
            client.get_result(task_id)
        assert isinstance(client.get_batch_result([task_id])[task_id]["exception"], ResultNotTrusted)
    with client_of(service, trusted_endpoints=["cluster"]) as client:
        assert client.get_result(task_id) == Particle(2.0)


def test_the_executor_reads_by_its_endpoint(service):
    with client_of(service) as client, FuncXExecutor(SHARED, funcx_client=client) as executor:
        assert executor.submit(plain, 1).result(20) == [1, {"x": 1}]
        with pytest.raises(ResultNotTrusted):
            executor.submit(make_particle, 1.0).result(20)
        with pytest.raises(KeyError):
            executor.submit(fail_with, "KeyError").result(20)
        with pytest.raises(RemoteTaskError):
            executor.submit(fail_with, "OwnError").result(20)
    with client_of(service) as client, FuncXExecutor(MINE, funcx_client=client) as executor:
        assert executor.submit(make_particle, 1.0).result(20) == Particle(1.0)
        with pytest.raises(OwnError):
            executor.submit(fail_with, "OwnError").result(20)


def test_an_executor_that_knows_its_endpoint_asks_nothing_more(service):
    with client_of(service) as client, FuncXExecutor("theta", funcx_client=client) as executor:
        futures = [executor.submit(make_particle, 1.0) for _ in range(3)]
        assert [future.result(20) for future in futures] == [Particle(1.0)] * 3
    assert service.requests.count(("GET", "/v2/endpoints")) == 1


def test_reloaded_tasks_are_read_by_where_they_ran(service):
    with client_of(service) as client:
        with FuncXExecutor(MINE, funcx_client=client) as executor:
            executor.submit(make_particle, 1.0).result(20)
            group_id = executor.task_group_id
        with FuncXExecutor(SHARED, funcx_client=client, task_group_id=group_id) as executor:
            assert isinstance(executor.submit(make_particle, 2.0).exception(20), ResultNotTrusted)
        with FuncXExecutor(SHARED, funcx_client=client, task_group_id=group_id) as executor:
            mine, theirs = executor.reload_tasks()
            assert mine.result(20) == Particle(1.0)
            assert isinstance(theirs.exception(20), ResultNotTrusted)
