"""globus-compute-sdk 4.19.0, used as its users do, as far as it needs no message broker."""

import os

from features import GIVEN, UNKNOWN_ID, VALUES, feature, known, raised, until, work
from globus_compute_sdk import Client
from globus_compute_sdk.errors import TaskExecutionFailed, TaskPending
from globus_compute_sdk.sdk.client import _ComputeWebClient
from globus_sdk import AccessTokenAuthorizer, GlobusAPIError

EP = GIVEN["endpoint"]


def client(token=GIVEN["token"]):
    # Its address is built in (http://localhost:5000); the test's service has a port of its own.
    made = Client(authorizer=AccessTokenAuthorizer(token), do_version_check=False, local_compute_services=True)
    made._compute_web_client = _ComputeWebClient(base_url=GIVEN["origin"], authorizer=AccessTokenAuthorizer(token))
    return made


def result(task):
    return until(lambda: c.get_result(task), lambda error: isinstance(error, TaskPending))


def call(function, *args, **kwargs):
    return result(c.run(*args, endpoint_id=EP, function_id=c.register_function(function), **kwargs))


def check_refused(error, http_status, text):
    assert isinstance(error, GlobusAPIError), repr(error)
    assert error.http_status == http_status, repr(error)
    assert text in str(error), str(error)


c = client()


@feature("sign-in")
def _():
    os.environ["GLOBUS_COMPUTE_CLIENT_ID"] = GIVEN["client_id"]
    os.environ["GLOBUS_COMPUTE_CLIENT_SECRET"] = GIVEN["client_secret"]
    signed_in = Client(do_version_check=False, local_compute_services=True)
    signed_in._compute_web_client = _ComputeWebClient(base_url=GIVEN["origin"], app=signed_in.app)
    assert signed_in.get_endpoint_status(EP)["status"] == "online"


@feature("register")
def _():
    known["add"] = c.register_function(work.add)
    assert len(known["add"]) == 36
    source = c.register_source_code("def triple(x):\n    return x * 3\n", "triple")
    assert result(c.run(4, endpoint_id=EP, function_id=source)) == 12


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
    assert isinstance(error, TaskExecutionFailed), repr(error)
    assert "12,000,0" in str(error), str(error)


@feature("batch")
def _():
    batch = c.create_batch()
    other = c.register_function(work.same)
    for number in range(5):
        batch.add(known["add"], args=(number,))
    batch.add(other, args=(6,))
    reply = c.batch_run(EP, batch)
    assert reply["endpoint_id"] == EP
    tasks = [*reply["tasks"][known["add"]], *reply["tasks"][other]]
    for task in tasks:
        result(task)
    found = client().get_batch_result(tasks)
    assert [found[task]["result"] for task in tasks] == [1, 2, 3, 4, 5, [(6,), {}]]


@feature("raises")
def _():
    error = raised(call, work.bad, 7)
    assert isinstance(error, TaskExecutionFailed), repr(error)
    assert "ValueError: bad value 7" in str(error), str(error)


@feature("raises own")
def _():
    error = raised(call, work.odd, 7)
    assert isinstance(error, TaskExecutionFailed), repr(error)
    assert "Odd: odd value 7" in str(error), str(error)


@feature("unknown task")
def _():
    check_refused(raised(c.get_result, UNKNOWN_ID), 404, UNKNOWN_ID)


@feature("unknown in batch")
def _():
    task = c.run(1, endpoint_id=EP, function_id=known["add"])
    result(task)
    found = client().get_batch_result([task, UNKNOWN_ID])
    assert found[task]["result"] == 2


@feature("unknown function")
def _():
    check_refused(raised(c.run, 1, endpoint_id=EP, function_id=UNKNOWN_ID), 404, UNKNOWN_ID)


@feature("unknown endpoint")
def _():
    check_refused(raised(c.run, 1, endpoint_id=UNKNOWN_ID, function_id=known["add"]), 404, UNKNOWN_ID)


@feature("forbidden function")
def _():
    function = GIVEN["private_function"]
    check_refused(raised(c.run, 1, endpoint_id=EP, function_id=function), 404, function)


@feature("shared function")
def _():
    assert result(c.run(1, endpoint_id=EP, function_id=GIVEN["public_function"])) == "from bob: 1"


@feature("whitelist")
def _():
    other = c.register_function(work.same)
    listed = c.register_endpoint("listed-by-4", None, allowed_functions=[known["add"]])["endpoint_id"]
    assert known["add"] in str(c.get_allowed_functions(listed))
    c.run(1, endpoint_id=listed, function_id=known["add"])
    check_refused(raised(c.run, 1, endpoint_id=listed, function_id=other), 403, other)


@feature("lock")
def _():
    listed = GIVEN["listed_endpoint"]
    c.stop_endpoint(listed)
    error = raised(c.register_endpoint, "locked", listed)
    assert error.http_status == 423, repr(error)


@feature("delete")
def _():
    function = c.register_function(work.same)
    assert c.get_function(function)["function_name"] == "same"
    c.delete_function(function)
    check_refused(raised(c.get_function, function), 404, function)
    endpoint = c.register_endpoint("for-a-moment", None)["endpoint_id"]
    assert c.get_endpoint_metadata(endpoint)["name"] == "for-a-moment"
    c.delete_endpoint(endpoint)
    check_refused(raised(c.get_endpoint_metadata, endpoint), 404, endpoint)


@feature("bad token")
def _():
    check_refused(raised(client("no-such-token").get_task, UNKNOWN_ID), 401, "token")


@feature("endpoint status")
def _():
    assert c.get_endpoint_status(EP)["status"] == "online"
    assert EP in [endpoint["uuid"] for endpoint in c.get_endpoints()]
    check_refused(raised(c.get_endpoint_status, UNKNOWN_ID), 404, UNKNOWN_ID)


@feature("no broker")
def _():
    check_refused(raised(c.get_result_amqp_url), 404, "No message broker is configured")
