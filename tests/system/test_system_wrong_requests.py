"""What a user may get wrong in the SDK, over HTTP or on the command line: one typed error that names the thing."""

import json
import threading
import urllib.error
import urllib.request

import pytest

from funcx_core import errors

NOBODY = "1e999502-b434-49a2-a2e0-d925383d2dd4"


def double(number):
    return number * 2


def ask(fabric, path, body=None):
    request = urllib.request.Request(
        f"{fabric.address}/{path}",
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {fabric.token}", "Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("tasks/xyz", None),
        ("functions/xyz", None),
        ("endpoints/xyz/status", None),
        ("tasks/xyz/cancel", {}),
        ("taskgroup/xyz", None),
        ("batch_status", {"task_ids": ["xyz"]}),
    ],
)
def test_a_malformed_id_is_named_over_http(fabric, path, body):
    status, answer = ask(fabric, path, body)
    assert status == 400
    assert answer["name"] == "invalid_uuid"
    assert "'xyz' is not a valid" in answer["reason"]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        (f"tasks/{NOBODY}", "task_not_found"),
        (f"functions/{NOBODY}", "function_not_found"),
        (f"endpoints/{NOBODY}/status", "endpoint_not_found"),
    ],
)
def test_an_unknown_id_is_named_over_http(fabric, path, name):
    status, answer = ask(fabric, path)
    assert status == 404
    assert answer["name"] == name
    assert NOBODY in answer["reason"]


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda c, e, f: c.get_result("xyz"), errors.InvalidId, "'xyz' is not a valid task id"),
        (lambda c, e, f: c.get_task("xyz"), errors.InvalidId, "'xyz' is not a valid task id"),
        (lambda c, e, f: c.get_batch_result(["xyz"]), errors.InvalidId, "'xyz' is not a valid task id"),
        (lambda c, e, f: c.run(1, endpoint_id=e, function_id="xyz"), errors.InvalidId, "valid function id"),
        (lambda c, e, f: c.get_result(NOBODY), errors.TaskNotFound, NOBODY),
        (lambda c, e, f: c.run(1, endpoint_id=e, function_id=NOBODY), errors.FunctionNotFound, NOBODY),
        (lambda c, e, f: c.run(1, endpoint_id=NOBODY, function_id=f), errors.EndpointNotFound, NOBODY),
        (lambda c, e, f: c.run(1, endpoint_id="lokal", function_id=f), errors.EndpointNotFound, "Did you mean .local"),
        (lambda c, e, f: c.register_function(5), errors.SerializationError, "'int' cannot be called"),
        (
            lambda c, e, f: c.run(threading.Lock(), endpoint_id=e, function_id=f),
            errors.SerializationError,
            r"Argument 1 \(_thread.lock\) cannot be sent",
        ),
    ],
)
def test_the_client_names_what_is_wrong(fabric, call, error, text):
    client = fabric.client()
    with pytest.raises(error, match=text):
        call(client, fabric.endpoint_id, client.register_function(double))


def test_a_function_without_source_goes_by_value(fabric):
    scope = {}
    exec("def triple(number):\n    return number * 3", scope)
    with fabric.executor() as executor:
        assert executor.submit(scope["triple"], 5).result(30) == 15
        assert executor.submit(eval("lambda number: number + 1"), 5).result(30) == 6
        assert executor.submit(divmod, 7, 3).result(30) == (2, 1)


@pytest.mark.parametrize("command", ["start", "stop", "restart"])
def test_an_endpoint_that_is_not_there_is_named(fabric, command):
    done = fabric.endpoint_cli(command, "nowhere", check=False)
    assert done.returncode == 1
    assert done.stderr.strip().splitlines() == [
        "Error: There is no endpoint 'nowhere'. Run: funcx-endpoint configure nowhere"
    ]


@pytest.mark.parametrize("name", ["a/b", "..", "service", "-x", "é", "x" * 65])
def test_a_name_that_no_endpoint_can_have_is_refused(fabric, name):
    done = fabric.endpoint_cli("configure", "--", name, check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert name in done.stderr


@pytest.mark.parametrize("command", ["up", "down", "status", "token", "doctor"])
def test_a_home_that_cannot_be_is_one_line(fabric, tmp_path, monkeypatch, command):
    (tmp_path / "file").touch()
    monkeypatch.setattr(fabric, "home", tmp_path / "file")
    done = fabric.cli(command, check=False)
    assert done.returncode == 1
    assert done.stderr.strip().splitlines() == [
        f"Error: There can be no folder {tmp_path / 'file'}: It is a file. Set FUNCX_HOME to a folder of your own."
    ]
