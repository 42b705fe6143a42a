"""funcX 1.0.6, used as its users did."""

import os

from features import GIVEN, UNKNOWN_ID, VALUES, feature, known, raised, until, work
from globus_sdk import AccessTokenAuthorizer

from funcx import FuncXClient
from funcx.errors import FuncxTaskExecutionFailed, TaskPending
from funcx.sdk.errors import FuncxAPIError
from funcx.sdk.web_client import FuncxWebClient

EP = GIVEN["endpoint"]


class LoginManager:
    def __init__(self, token):
        self.token = token

    def get_funcx_web_client(self, *, base_url=None):
        return FuncxWebClient(base_url=base_url, authorizer=AccessTokenAuthorizer(self.token))

    def ensure_logged_in(self):
        pass

    logout = get_auth_client = get_search_client = ensure_logged_in


def client(token=GIVEN["token"], **options):
    return FuncXClient(login_manager=LoginManager(token), funcx_service_address=GIVEN["address"], **options)


def result(task):
    return until(lambda: c.get_result(task), lambda error: isinstance(error, TaskPending))


def call(function, *args, **kwargs):
    return result(c.run(*args, endpoint_id=EP, function_id=c.register_function(function), **kwargs))


def check_refused(error, http_status, code_name):
    assert isinstance(error, FuncxAPIError), repr(error)
    assert (error.http_status, error.code_name) == (http_status, code_name), repr(error)


c = client()


@feature("sign-in")
def _():
    os.environ["FUNCX_SDK_CLIENT_ID"] = GIVEN["client_id"]
    os.environ["FUNCX_SDK_CLIENT_SECRET"] = GIVEN["client_secret"]
    signed_in = FuncXClient(funcx_service_address=GIVEN["address"])
    assert signed_in.get_endpoint_status(EP)["status"] == "online"


@feature("register")
def _():
    known["add"] = c.register_function(work.add)
    assert len(known["add"]) == 36


@feature("run")
def _():
    assert result(c.run(3, y=4, endpoint_id=EP, function_id=known["add"])) == 7
    assert call(work.slow, 5) == 5
    assert known["pending"] > 0


@feature("values")
def _():
    args, kwargs = call(work.same, *VALUES, key=VALUES)
    assert tuple(args) == VALUES, args
    assert kwargs == {"key": VALUES}, kwargs


@feature("numpy")
def _():
    import numpy as np

    array = np.arange(12.0).reshape(3, 4)
    assert (call(work.doubled, array) == array * 2).all()


@feature("large")
def _():
    assert call(work.repeat, "x" * 1_000_000, 2) == "x" * 2_000_000


@feature("oversize")
def _():
    error = raised(call, work.repeat, "x" * 1_000_000, 12)
    assert isinstance(error, FuncxTaskExecutionFailed), repr(error)
    assert "12,000,0" in str(error), str(error)


@feature("batch")
def _():
    batch = c.create_batch()
    for number in range(5):
        batch.add(known["add"], EP, args=(number,))
    tasks = c.batch_run(batch)
    for task in tasks:
        result(task)
    found = c.get_batch_result(tasks)
    assert [found[task]["result"] for task in tasks] == [1, 2, 3, 4, 5]


@feature("raises")
def _():
    error = raised(call, work.bad, 7)
    assert isinstance(error, FuncxTaskExecutionFailed), repr(error)
    assert "ValueError: bad value 7" in str(error), str(error)


@feature("raises own")
def _():
    error = raised(call, work.odd, 7)
    assert isinstance(error, FuncxTaskExecutionFailed), repr(error)
    assert "Odd: odd value 7" in str(error), str(error)


@feature("unknown task")
def _():
    check_refused(raised(c.get_result, UNKNOWN_ID), 404, "task_not_found")


@feature("unknown in batch")
def _():
    task = c.run(1, endpoint_id=EP, function_id=known["add"])
    result(task)
    fresh = client()
    assert fresh.get_batch_result([task, UNKNOWN_ID])[task]["result"] == 2


@feature("unknown function")
def _():
    error = raised(c.run, 1, endpoint_id=EP, function_id=UNKNOWN_ID)
    assert type(error).__name__ == "FunctionNotFound", repr(error)
    assert UNKNOWN_ID in str(error), str(error)


@feature("unknown endpoint")
def _():
    error = raised(c.run, 1, endpoint_id=UNKNOWN_ID, function_id=known["add"])
    assert type(error).__name__ == "EndpointNotFound", repr(error)
    assert UNKNOWN_ID in str(error), str(error)


@feature("forbidden function")
def _():
    error = raised(c.run, 1, endpoint_id=EP, function_id=GIVEN["private_function"])
    assert type(error).__name__ == "FunctionNotFound", repr(error)


@feature("shared function")
def _():
    assert result(c.run(1, endpoint_id=EP, function_id=GIVEN["public_function"])) == "from bob: 1"


@feature("whitelist")
def _():
    listed, other = GIVEN["listed_endpoint"], c.register_function(work.same)
    c.add_to_whitelist(listed, [known["add"]])
    assert known["add"] in str(c.get_whitelist(listed)["result"])
    c.run(1, endpoint_id=listed, function_id=known["add"])
    error = raised(c.run, 1, endpoint_id=listed, function_id=other)
    assert type(error).__name__ == "FunctionNotPermitted", repr(error)
    assert other in str(error), str(error)
    c.delete_from_whitelist(listed, [known["add"]])
    assert known["add"] not in str(c.get_whitelist(listed)["result"])


@feature("containers")
def _():
    container = c.register_container("docker://python:3.11", "docker", name="py", description="plain")
    assert c.get_container(container, "docker")["location"] == "docker://python:3.11"
    check_refused(raised(c.get_container, UNKNOWN_ID, "docker"), 404, "container_not_found")


@feature("lock")
def _():
    listed = GIVEN["listed_endpoint"]
    c.lock_endpoint(listed)
    error = raised(c.register_endpoint, "locked", listed)
    assert error.http_status == 423, repr(error)


@feature("bad token")
def _():
    check_refused(raised(client("no-such-token").get_task, UNKNOWN_ID), 401, "user_unauthenticated")


@feature("endpoint status")
def _():
    assert c.get_endpoint_status(EP)["status"] == "online"
    assert EP in [endpoint["uuid"] for endpoint in c.get_endpoints()]
    check_refused(raised(c.get_endpoint_status, UNKNOWN_ID), 404, "endpoint_not_found")


@feature("no broker")
def _():
    error = raised(c.get_result_amqp_url)
    assert error.http_status == 404, repr(error)
    assert "No message broker is configured" in str(error), str(error)


@feature("asynchronous")
def _():
    import asyncio

    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)

    async def go():
        uri = GIVEN["origin"].replace("http", "ws", 1) + "/ws/v2/"
        running = client(asynchronous=True, loop=loop, results_ws_uri=uri)
        function = running.register_function(work.add)
        tasks = [running.run(number, endpoint_id=EP, function_id=function) for number in range(3)]
        values = await asyncio.wait_for(asyncio.gather(*tasks), 60)
        assert values == [1, 2, 3], values
        failing = running.run(8, endpoint_id=EP, function_id=running.register_function(work.bad))
        (error,) = await asyncio.wait_for(asyncio.gather(failing, return_exceptions=True), 60)
        assert "ValueError: bad value 8" in str(error), repr(error)

    loop.run_until_complete(go())
