"""When a client that shows a code asks whether somebody has approved it."""

from __future__ import annotations

import pytest

from funcx_core.errors import AuthRequired
from funcx_core.sdk.login_manager.code_login import LONGEST_PAUSE, Begun, Heard, Waiting

PENDING = Heard(error="authorization_pending")


def a_wait(*, interval: float = 2.0, expires_in: float = 600.0) -> Waiting:
    begun = Begun(device_code="secret", user_code="WDJB-MJHT", expires_in=expires_in, interval=interval)
    return Waiting(begun, now=0.0)


def test_it_asks_as_often_as_it_was_told() -> None:
    waiting = a_wait()
    assert [waiting.next(PENDING, now=at) for at in (0.0, 2.0, 4.0)] == [2.0, 2.0, 2.0]


def test_it_asks_less_often_when_it_is_told_so() -> None:
    waiting = a_wait()
    assert waiting.next(Heard(error="slow_down"), now=0.0) == 7.0
    assert waiting.next(PENDING, now=7.0) == 7.0


def test_a_service_that_does_not_answer_is_asked_less_and_less_often() -> None:
    waiting = a_wait()
    assert [waiting.next(None, now=0.0) for _ in range(3)] == [4.0, 8.0, 16.0]
    for _ in range(9):
        waiting.next(None, now=0.0)
    assert waiting.next(None, now=0.0) == LONGEST_PAUSE


@pytest.mark.parametrize(
    ("error", "told"),
    [
        ("access_denied", "was denied"),
        ("expired_token", "in time, or the service was restarted"),
        ("invalid_grant", "in time, or the service was restarted"),
        ("invalid_client", r"refuses the code \(invalid_client\)"),
        ("", "no reason"),
    ],
)
def test_it_ends_when_there_will_be_no_token(error: str, told: str) -> None:
    with pytest.raises(AuthRequired, match=told):
        a_wait().next(Heard(error=error), now=0.0)


def test_it_does_not_ask_for_a_code_that_is_too_old() -> None:
    waiting = a_wait(expires_in=5.0)
    waiting.next(PENDING, now=0.0)
    waiting.next(PENDING, now=2.9)
    with pytest.raises(AuthRequired, match=r"in time\. Sign in again"):
        waiting.next(PENDING, now=3.1)


def test_the_secret_code_is_in_no_traceback() -> None:
    assert "secret" not in repr(Begun(device_code="secret", user_code="WDJB-MJHT", expires_in=1.0))
