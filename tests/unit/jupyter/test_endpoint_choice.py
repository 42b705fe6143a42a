from __future__ import annotations

import pytest

from funcx_core.errors import EndpointOffline
from funcx_core.ids import EndpointId
from funcx_jupyter.errors import NoEndpointError, UnknownEndpoint
from funcx_jupyter.session.endpoints import Endpoint, choose, endpoint_of


def an_endpoint(name, *, online=True, **fields):
    return Endpoint(endpoint_id=EndpointId(f"id-{name}"), name=name, is_online=online, **fields)


LOCAL, THETA, MIDWAY = an_endpoint("local"), an_endpoint("theta"), an_endpoint("midway")
AWAY = an_endpoint("theta", online=False, last_seen=850, hostname="thetalogin3")


def test_the_first_wish_decides():
    assert choose([None, "", "theta", "local"], [LOCAL, THETA]) is THETA


def test_an_id_is_as_good_as_a_name():
    assert choose(["id-theta"], [LOCAL, THETA]) is THETA


def test_the_only_one_online_is_the_default():
    assert choose([None], [AWAY, MIDWAY]) is MIDWAY


def test_of_several_local_is_the_default():
    assert choose([], [THETA, LOCAL]) is LOCAL


@pytest.mark.parametrize(
    ("wanted", "endpoints", "error", "message"),
    [
        (
            None,
            [THETA, MIDWAY, an_endpoint("x", online=False)],
            NoEndpointError,
            "Choose an endpoint: `%%funcx theta` or `%funcx use theta`. Online: midway, theta (1 offline hidden).",
        ),
        (None, [], NoEndpointError, "No endpoint is online. Start one with `%funcx start local`."),
        (
            None,
            [AWAY],
            NoEndpointError,
            "No endpoint is online. Start one with `%funcx start theta`. Offline: theta.",
        ),
        ("theat", [LOCAL, THETA], UnknownEndpoint, "No endpoint named 'theat'. Did you mean 'theta'?"),
        ("qqq", [LOCAL, THETA], UnknownEndpoint, "No endpoint named 'qqq'. Known: local, theta."),
        (
            "theta",
            [AWAY, LOCAL, MIDWAY],
            EndpointOffline,
            "theta is offline (last seen 14 min ago, host thetalogin3). Online now: local, midway. Use `--wait-endpoint 600`, `--fallback midway`, or `%funcx start theta`.",
        ),
        (
            "theta",
            [an_endpoint("theta", online=False)],
            EndpointOffline,
            "theta is offline (never seen). Use `--wait-endpoint 600` or `%funcx start theta`.",
        ),
    ],
)
def test_what_cannot_be_chosen_is_said_with_what_to_type(wanted, endpoints, error, message):
    with pytest.raises(error) as caught:
        choose([wanted], endpoints)
    assert str(caught.value) == message
    assert caught.value._render_traceback_() == [f"{error.__name__}: {message}"]


def test_of_two_with_one_name_the_one_online_is_meant():
    assert choose(["theta"], [AWAY, THETA]) is THETA


def test_a_row_of_the_service_becomes_an_endpoint():
    row = {"uuid": "u", "name": "n", "state": "offline", "last_seen": 90.0, "status": {"workers": 4, "hostname": "h"}}
    assert endpoint_of(row, now=100.0) == Endpoint(
        endpoint_id=EndpointId("u"), name="n", is_online=False, last_seen=10.0, hostname="h", workers=4
    )
