"""Users hear why their tasks wait."""

from __future__ import annotations

import logging
import platform

import pytest

from funcx_core import __version__
from funcx_core.errors import ServiceUnavailable
from funcx_core.sdk.waiting import EndpointWarnings, difference, in_words


def a_status(state="ok", detail="", status="online"):
    return {"status": status, "name": "theta", "endpoint_id": "e", "details": {"state": state, "detail": detail}}


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (a_status(), ""),
        (a_status("stopping"), ""),
        ({"status": "online", "name": "theta", "details": None}, ""),
        (
            a_status("unhealthy", "No worker can start."),
            "Endpoint 'theta' is unhealthy; its tasks wait. No worker can start.",
        ),
        (a_status("degraded", "Tasks in 'c' wait."), "Endpoint 'theta' is degraded. Tasks in 'c' wait."),
        (a_status("disk-full"), "Endpoint 'theta' is disk-full; its tasks wait."),
        (
            a_status(status="offline"),
            "Endpoint 'theta' is offline; its tasks wait until it is started (funcx-endpoint start theta).",
        ),
    ],
)
def test_what_is_wrong_is_told_in_words(status, words):
    assert in_words(status) == words


class Client:
    def __init__(self, *answers):
        self.answers = list(answers)

    def get_endpoint_status(self, endpoint_id):
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def test_each_reason_is_told_once_until_it_is_gone(caplog):
    sick, worse = a_status("unhealthy", "a"), a_status("unhealthy", "b")
    warnings = EndpointWarnings(Client(sick, sick, worse, ServiceUnavailable("gone"), worse, a_status(), worse))
    with caplog.at_level(logging.WARNING, "funcx"):
        for _ in range(7):
            warnings.look(["e"])
    assert [record.message[-1] for record in caplog.records] == ["a", "b", "b"]


@pytest.mark.parametrize(
    ("details", "said"),
    [
        ({"python_version": platform.python_version(), "version": __version__}, ""),
        ({}, ""),
        ({"python_version": "3.5.2"}, f"runs Python 3.5.2, this is Python {platform.python_version()}. Functions"),
        (
            {"python_version": "3.5.2", "version": "99.0.0"},
            f"Python {platform.python_version()} and funcX 99.0.0, this is funcX {__version__}. Functions",
        ),
    ],
)
def test_another_version_is_told_with_the_one_here(details, said):
    found = difference({"status": "online", "name": "theta", "details": details})
    assert said in found
    assert bool(said) == bool(found)
