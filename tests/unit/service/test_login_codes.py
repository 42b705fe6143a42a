"""One-time codes for the status page."""

from __future__ import annotations

import pytest

from funcx_core.errors import AuthRequired
from funcx_core.service import login_codes
from funcx_core.service.login_codes import LoginCodes
from tests.support.stored import ALICE, BOB


def test_a_code_is_good_once() -> None:
    codes = LoginCodes()
    code, other = codes.make(ALICE), codes.make(BOB)
    assert codes.use(code) == ALICE
    with pytest.raises(AuthRequired, match="used before"):
        codes.use(code)
    assert codes.use(other) == BOB


def test_a_code_is_good_for_a_minute() -> None:
    now = 0.0
    codes = LoginCodes(lambda: now)
    code = codes.make(ALICE)
    now = login_codes.LIFETIME
    with pytest.raises(AuthRequired):
        codes.use(code)


def test_codes_that_nobody_uses_do_not_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(login_codes, "MOST", 2)
    codes = LoginCodes()
    made = [codes.make(ALICE) for _ in range(3)]
    with pytest.raises(AuthRequired):
        codes.use(made[0])
    assert codes.use(made[2]) == ALICE
