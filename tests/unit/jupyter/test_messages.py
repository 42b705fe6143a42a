"""What users read when something is wrong: the exact words, each with what to type next. One line, no frames of ours."""

from __future__ import annotations

import os
import time
from types import SimpleNamespace

import pytest

from funcx_core.errors import AuthRequired, FuncxError, ServiceUnavailable, TaskTimeout, WorkerLost
from funcx_core.ids import EndpointId, TaskId
from funcx_core.sdk.settings import Settings
from funcx_jupyter import errors
from funcx_jupyter.errors import AuthError, MagicArgumentError, NotConnectedError
from funcx_jupyter.options.parser import parse_cell_line
from funcx_jupyter.plain_screen import PlainScreen
from funcx_jupyter.session.endpoints import Endpoint, choose
from funcx_jupyter.session.followed import Followed
from funcx_jupyter.session.presentable import presentable
from funcx_jupyter.session.service_connection import ServiceConnection
from funcx_jupyter.session.sign_in import of_sign_in
from funcx_jupyter.verbs import places, records

TASK = Followed(task_id=TaskId("t"), endpoint="theta", endpoint_id=EndpointId("e"), sent_at=time.time(), walltime=600)


def an_endpoint(name, *, online=True, last_seen=None, hostname=""):
    return Endpoint(
        endpoint_id=EndpointId(name * 4), name=name, is_online=online, last_seen=last_seen, hostname=hostname
    )


LOCAL, THETA = an_endpoint("local"), an_endpoint("theta")
MIDWAY, OFFLINE = an_endpoint("midway"), an_endpoint("theta", online=False, last_seen=840, hostname="thetalogin3")


def message_of(call, *arguments):
    with pytest.raises(Exception) as raised:  # noqa: PT011 - the text is what is asked
        call(*arguments)
    shown = raised.value._render_traceback_()
    assert shown == [f"{type(raised.value).__name__}: {raised.value}"]
    return str(raised.value)


def test_no_service_is_configured(tmp_path, monkeypatch):
    monkeypatch.setenv("FUNCX_HOME", str(tmp_path / "empty"))
    with pytest.raises(NotConnectedError):
        ServiceConnection.open()
    assert message_of(ServiceConnection.open) == (
        "No funcX service is configured. Start one here with `%funcx start local`, or connect with "
        "`%funcx connect https://host`."
    )


def test_the_service_cannot_be_reached(monkeypatch):
    class Client:
        def get_endpoints(self):
            raise ServiceUnavailable(
                "Cannot reach https://host/v2 ([Errno 111] Connection refused, 3 tries, 2.1 s). Is it running? "
                "`funcx status` tells."
            )

    monkeypatch.setattr(ServiceConnection, "client", Client())
    assert message_of(ServiceConnection(Settings("https://host/v2")).endpoints) == (
        "Cannot reach https://host (connection refused, 3 tries, 2.1 s). Your cell was not submitted."
    )


@pytest.mark.parametrize(
    ("wanted", "rows", "message"),
    [
        (
            None,
            [an_endpoint("local", online=False), THETA, MIDWAY, an_endpoint("old", online=False)],
            "Choose an endpoint: `%%funcx theta` or `%funcx use theta`. Online: midway, theta (2 offline hidden).",
        ),
        ("theat", [LOCAL, THETA], "No endpoint named 'theat'. Did you mean 'theta'?"),
        (
            "theta",
            [LOCAL, MIDWAY, OFFLINE],
            (
                "theta is offline (last seen 14 min ago, host thetalogin3). Online now: local, midway. Use "
                "`--wait-endpoint 600`, `--fallback midway`, or `%funcx start theta`."
            ),
        ),
    ],
)
def test_endpoints(wanted, rows, message):
    assert message_of(choose, [wanted], rows) == message


@pytest.mark.parametrize(
    ("error", "settings", "message"),
    [
        (
            AuthRequired.of_expired("This token expired.", time.time() - 3 * 3600 - 60),
            Settings("https://host/v2", "fxt_x"),
            "Your sign-in for https://host expired 3 h ago. Run `%funcx login`.",
        ),
        (
            AuthRequired("No token."),
            Settings("https://host/v2"),
            "You are not signed in to https://host. Run `%funcx login`.",
        ),
        (
            AuthRequired("This token was revoked. Run `funcx token`."),
            Settings("https://host/v2", "fxt_x"),
            "Your sign-in for https://host is not accepted (this token was revoked). Run `%funcx login`.",
        ),
    ],
)
def test_nobody_is_signed_in(error, settings, message):
    told = of_sign_in(error, settings)
    assert (type(told), str(told)) == (AuthError, message)
    assert told._render_traceback_() == [f"AuthError: {message}"]


@pytest.mark.parametrize(
    "name",
    [
        "AuthError",
        "CaptureError",
        "LargeInputError",
        "MagicArgumentError",
        "NoEndpointError",
        "NotConnectedError",
        "ResultExpired",
        "ServiceUnavailable",
        "TaskTimeout",
        "UnknownEndpoint",
        "WorkerLost",
    ],
)
def test_who_catches_an_error_finds_its_class_in_one_place(name):
    found = getattr(errors, name)
    assert issubclass(found, FuncxError)
    assert found.__name__ == name


def test_an_option_that_does_not_exist():
    with pytest.raises(MagicArgumentError):
        parse_cell_line("--retires 3")
    assert message_of(parse_cell_line, "--retires 3") == (
        "`--retires` is not an option of %%funcx. Did you mean `--retries`? See `%%funcx?`."
    )


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (TaskTimeout("?"), "Stopped after 600 s (-t 600). Partial output kept."),
        (
            WorkerLost(
                "?", details={"signal": 9, "oom": True, "memory_used": 31_800_000_000, "memory_limit": 32_000_000_000}
            ),
            "The worker on theta died (signal 9, used 31.8 of 32 GB). Last output kept above. Try `--resource mem=64`.",
        ),
        (
            WorkerLost("?", details={"signal": 9, "exitcode": None, "oom": True}),
            "The worker on theta died (signal 9, out of memory). Last output kept above. Try `--resource mem=16`.",
        ),
        (
            WorkerLost("?", details={"signal": None, "exitcode": 3, "oom": False}),
            "The worker on theta died (exit code 3). Last output kept above.",
        ),
        (WorkerLost("?"), "The worker on theta died. Last output kept above."),
    ],
)
def test_how_a_task_ended(error, message):
    shown = presentable(error, TASK, PlainScreen())
    assert str(shown) == message
    assert shown._render_traceback_() == [f"{type(error).__name__}: {message}"]


class _Refused:
    address = "http://127.0.0.1:9/v2"

    def endpoints(self):
        raise ServiceUnavailable("Cannot reach http://127.0.0.1:9 (connection refused). Your cell was not submitted.")


def _interrupted(*_):
    raise KeyboardInterrupt


def test_a_service_that_cannot_be_reached_is_not_used_from_then_on(monkeypatch):
    monkeypatch.setenv("FUNCX_SERVICE_ADDRESS", "http://127.0.0.1:5000/v2")
    desk = SimpleNamespace(session=SimpleNamespace(connection=_Refused(), close=lambda: None))
    with pytest.raises(ServiceUnavailable) as raised:
        places.connect(desk, "http://127.0.0.1:9")
    assert f"{raised.value}" == (
        "Cannot reach http://127.0.0.1:9 (connection refused). This kernel uses the service that it used before."
    )
    assert os.environ["FUNCX_SERVICE_ADDRESS"] == "http://127.0.0.1:5000/v2"
    monkeypatch.delenv("FUNCX_SERVICE_ADDRESS")
    monkeypatch.setattr(_Refused, "endpoints", _interrupted)
    with pytest.raises(KeyboardInterrupt):
        places.connect(desk, "http://127.0.0.1:9")
    assert "FUNCX_SERVICE_ADDRESS" not in os.environ


def test_what_cannot_be_written_is_said_in_one_line(monkeypatch, tmp_path):
    record = SimpleNamespace(save=lambda path: path.write_text("{}"))
    monkeypatch.setattr("funcx_core.sdk.provenance.gather.gather", lambda *_, **__: record)
    monkeypatch.setattr(records, "known_here", lambda *_: None)
    session = SimpleNamespace(find_task=lambda name: name, connection=SimpleNamespace(client=None))
    with pytest.raises(MagicArgumentError, match=r"Cannot write .*/none/x.json: No such file or directory\."):
        records.provenance(SimpleNamespace(session=session), "t", json=f"{tmp_path}/none/x.json")
