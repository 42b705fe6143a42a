"""funcX 0.0.3, 0.2.3 and 0.3.9, used as their users did."""

import json
from pathlib import Path

from features import GIVEN, UNKNOWN_ID, VALUES, feature, known, raised, until, work
from globus_sdk import AccessTokenAuthorizer

import funcx
from funcx.sdk.client import FuncXClient

VERSION = tuple(int(part) for part in funcx.__version__.split("."))
FIRST = VERSION < (0, 1)
TYPED = (0, 2) <= VERSION < (0, 3)
NEWEST = VERSION >= (0, 3)
EP = GIVEN["endpoint"]


def client(token=GIVEN["token"], **options):
    if not FIRST:
        options["use_offprocess_checker"] = False
    if NEWEST:
        options["results_ws_uri"] = GIVEN["origin"].replace("http", "ws", 1) + "/ws/v2/"
    authorizer = AccessTokenAuthorizer(token)
    made = FuncXClient(
        fx_authorizer=authorizer,
        search_authorizer=authorizer,
        openid_authorizer=AccessTokenAuthorizer(GIVEN["token"]),
        funcx_service_address=GIVEN["address"],
        **options,
    )
    made.throttling_enabled = False
    return made


def is_pending(error):
    if FIRST:
        return str(error) in ("received", "waiting-for-ep", "waiting-for-nodes", "waiting-for-launch", "running")
    return type(error).__name__ == "TaskPending"


def result(task):
    return until(lambda: c.get_result(task), is_pending)


def call(function, *args, **kwargs):
    return result(c.run(*args, endpoint_id=EP, function_id=c.register_function(function), **kwargs))


def batch_results(tasks):
    asked = c.get_batch_status if FIRST else c.get_batch_result

    def ask():
        found = asked(tasks)
        if any(found[task]["pending"] for task in tasks):
            raise KeyError("pending")
        return found

    found = until(ask, lambda error: isinstance(error, KeyError))
    return [found[task]["result"] for task in tasks]


def check_refused(error, http_status, name, argument, submitted=False):
    """What each version makes of an error that the service replies, or of an item that was not accepted."""
    if TYPED or (NEWEST and submitted):
        assert type(error).__name__ == name, repr(error)
        assert argument in str(error) or name == "UserUnauthenticated", str(error)
    elif NEWEST:
        assert error.http_status == http_status, repr(error)
        assert error.code_name.replace("_", "") == name.lower(), error.code_name
    else:
        assert error.http_status == http_status, repr(error)
        assert argument in str(error), str(error)


c = client()


@feature("sign-in")
def _():
    saved = Path.home() / ".funcx" / "credentials" / "funcx_sdk_tokens.json"
    scopes = {
        "funcx_service": "https://auth.globus.org/scopes/facd7ccc-c5f4-42aa-916b-a0e270e2c2a9/all",
        "search.api.globus.org": "urn:globus:auth:scope:search.api.globus.org:all",
        "auth.globus.org": "openid",
    }
    tokens = {
        server: {
            "scope": scope,
            "access_token": GIVEN["token"],
            "refresh_token": "none",
            "expires_at_seconds": 4102444800,
            "token_type": "Bearer",
            "resource_server": server,
        }
        for server, scope in scopes.items()
    }
    saved.parent.mkdir(parents=True, exist_ok=True)
    saved.write_text(json.dumps(tokens))
    options = {} if FIRST else {"use_offprocess_checker": False}
    signed_in = FuncXClient(funcx_service_address=GIVEN["address"], **options)
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
    assert call(work.repeat, "x" * 1000000, 2) == "x" * 2000000


@feature("oversize")
def _():
    error = raised(call, work.repeat, "x" * 1000000, 12)
    assert "12,000,0" in str(error), str(error)


@feature("batch")
def _():
    batch = c.create_batch()
    for number in range(5):
        batch.add(number, endpoint_id=EP, function_id=known["add"])
    assert batch_results(c.batch_run(batch)) == [1, 2, 3, 4, 5]


@feature("map_run")
def _():
    tasks = c.map_run([10, 20, 30], endpoint_id=EP, function_id=known["add"])
    assert batch_results(tasks) == [11, 21, 31]


@feature("raises")
def _():
    error = raised(call, work.bad, 7)
    assert type(error) is ValueError, repr(error)
    assert str(error) == "bad value 7"


@feature("raises own")
def _():
    error = raised(call, work.odd, 7)
    assert type(error) is Exception, repr(error)
    assert "Odd: odd value 7" in str(error), str(error)


@feature("unknown task")
def _():
    check_refused(raised(c.get_result, UNKNOWN_ID), 404, "TaskNotFound", UNKNOWN_ID)


@feature("unknown in batch")
def _():
    task = c.run(1, endpoint_id=EP, function_id=known["add"])
    result(task)
    found = (c.get_batch_status if FIRST else c.get_batch_result)([task, UNKNOWN_ID])
    assert found[task]["result"] == 2
    assert found[UNKNOWN_ID]["status"] == "Failed"


@feature("unknown function")
def _():
    error = raised(c.run, 1, endpoint_id=EP, function_id=UNKNOWN_ID)
    check_refused(error, 404, "FunctionNotFound", UNKNOWN_ID, submitted=True)


@feature("unknown endpoint")
def _():
    error = raised(c.run, 1, endpoint_id=UNKNOWN_ID, function_id=known["add"])
    check_refused(error, 404, "EndpointNotFound", UNKNOWN_ID, submitted=True)


@feature("forbidden function")
def _():
    error = raised(c.run, 1, endpoint_id=EP, function_id=GIVEN["private_function"])
    check_refused(error, 404, "FunctionNotFound", GIVEN["private_function"], submitted=True)


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
    check_refused(error, 403, "FunctionNotPermitted", other, submitted=True)
    c.delete_from_whitelist(listed, [known["add"]])
    assert known["add"] not in str(c.get_whitelist(listed)["result"])


@feature("containers")
def _():
    container = c.register_container("docker://python:3.11", "docker", name="py", description="plain")
    assert c.get_container(container, "docker")["location"] == "docker://python:3.11"
    check_refused(raised(c.get_container, UNKNOWN_ID, "docker"), 404, "ContainerNotFound", UNKNOWN_ID)


@feature("bad token")
def _():
    error = raised(client("no-such-token").get_result, UNKNOWN_ID)
    check_refused(error, 401, "UserUnauthenticated", "token")


@feature("endpoint status")
def _():
    assert c.get_endpoint_status(EP)["status"] == "online"
    check_refused(raised(c.get_endpoint_status, UNKNOWN_ID), 404, "EndpointNotFound", UNKNOWN_ID)


if NEWEST:

    @feature("executor")
    def _():
        from funcx.sdk.executor import FuncXExecutor

        executor = FuncXExecutor(client())
        again = FuncXExecutor(client(), batch_enabled=True, batch_interval=0.2)
        for one in (executor, again):
            futures = [one.submit(work.add, number, endpoint_id=EP) for number in range(5)]
            assert [future.result(60) for future in futures] == [1, 2, 3, 4, 5]
            assert one.submit(work.slow, 9, endpoint_id=EP).result(60) == 9
            error = one.submit(work.bad, 8, endpoint_id=EP).exception(60)
            assert repr(error) == "ValueError('bad value 8')"
            error = one.submit(work.odd, 8, endpoint_id=EP).exception(60)
            assert repr(error).startswith("Exception("), repr(error)
            assert "odd value 8" in str(error), str(error)

    @feature("asynchronous")
    def _():
        import asyncio

        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)

        async def go():
            running = client(asynchronous=True, loop=loop)
            function = running.register_function(work.add)
            tasks = [running.run(number, endpoint_id=EP, function_id=function) for number in range(3)]
            values = await asyncio.wait_for(asyncio.gather(*tasks), 60)
            assert values == [1, 2, 3], values
            failing = running.run(8, endpoint_id=EP, function_id=running.register_function(work.bad))
            (error,) = await asyncio.wait_for(asyncio.gather(failing, return_exceptions=True), 60)
            assert repr(error) == "ValueError('bad value 8')"

        loop.run_until_complete(go())
