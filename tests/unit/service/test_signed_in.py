"""When a connection that lasts is looked at again."""

from __future__ import annotations

import asyncio

import pytest

from funcx_core.errors import AuthRequired, ServiceUnavailable
from funcx_core.service.auth.base import Identity
from funcx_core.service.handlers import signed_in
from tests.support.stored import ALICE


@pytest.mark.parametrize(
    ("expires_at", "pause"), [(None, signed_in.LOOK_EVERY), (1e9, signed_in.LOOK_EVERY), (1004.0, 4.0), (900.0, 0.05)]
)
def test_it_is_looked_at_when_it_expires(expires_at: float | None, pause: float) -> None:
    assert signed_in._pause(Identity(user=ALICE, expires_at=expires_at), now=1000.0) == pause


async def test_it_ends_once_and_only_when_the_token_is_bad(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signed_in, "LOOK_EVERY", 0.0)
    revoked = AuthRequired("This token was revoked.")
    answers = iter([Identity(user=ALICE), ServiceUnavailable("Nobody knows."), Identity(user=ALICE), revoked])

    async def authenticate() -> Identity:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    ended: list[AuthRequired] = []
    await asyncio.wait_for(signed_in.end_when_signed_out(authenticate, ended.append), 5)
    assert ended == [revoked]
