"""Every error that the service can report arrives as what it is, with all its fields."""

from __future__ import annotations

import msgspec
import pytest

from funcx_core import errors
from funcx_core.protocol.client import Refused, Rejection
from funcx_core.sdk.wire_errors import error_from_response, error_from_wire
from funcx_core.service.http_errors import error_body
from funcx_core.service.operations.tasks import rejection


def classes(cls=errors.FuncxError):
    return {cls} | {leaf for child in cls.__subclasses__() for leaf in classes(child)}


def an_error(cls):
    """Return an error of a class with all the fields that its constructor takes."""
    for base, make in MAKERS:
        if issubclass(cls, base):
            return make(cls)
    raise AssertionError(cls)


MAKERS = [
    (errors.InvalidId, lambda cls: cls("nonsense", "task id")),
    (errors.NotPlainData, lambda cls: cls("a.Class")),
    (errors.NotFound, lambda cls: cls("theta", "Look again.")),
    (errors.MissingPackage, lambda cls: cls("pandas", "table() gives a DataFrame.")),
    (errors.BatchTooLarge, lambda cls: cls(12, 10)),
    (errors.FunctionNotPermitted, lambda cls: cls("f", "e")),
    (errors.ResourceLocked, lambda cls: cls("It is locked.", endpoint_id="e")),
    (errors.PayloadTooLarge, lambda cls: cls(12, 10, "arguments")),
    (errors.TaskFailed, lambda cls: cls("It died.", task_id="t", details={"signal": 9})),
    (errors.TaskPending, lambda cls: cls("waiting-for-ep", task_id="t")),
    (errors.TryAgainLater, lambda cls: cls("Busy.", retry_after=2.5)),
    (errors.FuncxError, lambda cls: cls("Something is wrong.")),
]
ALL = sorted(
    {cls for cls in classes() if cls.__module__ == errors.__name__} - {errors.FuncxError}, key=lambda cls: cls.__name__
)


@pytest.mark.parametrize("cls", ALL)
def test_an_error_survives_http(cls):
    error = an_error(cls)
    body = msgspec.json.decode(msgspec.json.encode(error_body(error)))
    rebuilt = error_from_response(body["http_status_code"], body)
    assert (type(rebuilt), str(rebuilt), rebuilt.fields) == (cls, str(error), error.fields)
    assert rebuilt.http_status == error.http_status
    assert getattr(rebuilt, "retry_after", None) == getattr(error, "retry_after", None)


@pytest.mark.parametrize("cls", ALL)
def test_an_error_survives_the_stream(cls):
    error = an_error(cls)
    sent = msgspec.msgpack.decode(msgspec.msgpack.encode(rejection("t", error)), type=Rejection)
    rebuilt = error_from_wire(sent.code, sent.message, sent.fields)
    assert (type(rebuilt), str(rebuilt), rebuilt.fields) == (cls, str(error), error.fields)


@pytest.mark.parametrize("cls", ALL)
def test_an_error_of_a_service_that_sends_no_fields_has_its_attributes(cls):
    error = error_from_wire(cls.code, "text")
    assert type(error) is cls
    assert set(error.fields) >= set(an_error(cls).fields)


def test_rejections_of_an_older_service_are_read():
    old = msgspec.msgpack.encode(["t", "function_not_found", "No."])
    assert msgspec.msgpack.decode(old, type=Rejection) == Rejection("t", "function_not_found", "No.")
    assert Refused(1, "queue_full", "Full.").fields == {}


def test_the_name_comes_from_the_arguments_of_published_services():
    error = error_from_response(404, {"code": 4, "reason": "Endpoint x not found", "error_args": ["x"]})
    assert (type(error), error.name) == (errors.EndpointNotFound, "x")


def test_what_a_peer_calls_private_is_not_taken():
    error = error_from_wire("usage_error", "text", {"_secret": 1, "__class__": int, "name": "kept"})
    assert error.__dict__ == {"name": "kept"}
