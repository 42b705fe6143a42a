"""Signing in by a short code, as the service decides it."""

from __future__ import annotations

import pytest

from funcx_core.errors import RateLimited, SignInNotFound
from funcx_core.service import device_codes
from funcx_core.service.auth.base import Identity
from funcx_core.service.auth.scopes import ALL, Scope
from funcx_core.service.device_codes import Approved, Asked, Denied, DeviceCodes, Gone, Pending
from tests.support.stored import ALICE, BOB

READER = Identity(user=ALICE, scopes=frozenset({Scope.READ, Scope.TOKENS}))
OWNER = Identity(user=ALICE, scopes=ALL)


class Site:
    """Codes with a clock of their own."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.codes = DeviceCodes(lambda: self.now)

    def begin(self, address: str = "10.0.0.7", scopes: frozenset[Scope] | None = None) -> device_codes.Pair:
        return self.codes.begin(Asked(label="ada on theta", address=address, scopes=scopes))


@pytest.fixture
def site() -> Site:
    return Site()


def test_an_approved_client_is_told_so_once(site: Site) -> None:
    pair = site.begin()
    assert site.codes.ask(pair.device_code) == Pending(device_codes.INTERVAL)
    assert site.codes.approve(pair.user_code, OWNER) == ALL
    site.now += device_codes.INTERVAL
    answer = site.codes.ask(pair.device_code)
    assert isinstance(answer, Approved)
    assert (answer.by, answer.scopes, answer.asked.label) == (OWNER, ALL, "ada on theta")
    assert site.codes.ask(pair.device_code) == Gone()


def test_a_denied_client_is_told_so(site: Site) -> None:
    pair = site.begin()
    site.codes.deny(pair.user_code, ALICE.user_id)
    assert site.codes.ask(pair.device_code) == Denied()
    assert site.codes.ask(pair.device_code) == Gone()


@pytest.mark.parametrize(
    ("wanted", "given"),
    [
        (None, {Scope.READ, Scope.TOKENS}),
        (frozenset({Scope.READ, Scope.SUBMIT}), {Scope.READ}),
        (frozenset({Scope.SUBMIT}), set()),
    ],
)
def test_nobody_gives_more_rights_than_their_own_token_has(
    site: Site, wanted: frozenset[Scope] | None, given: set[Scope]
) -> None:
    assert site.codes.approve(site.begin(scopes=wanted).user_code, READER) == given


def test_a_decision_cannot_be_changed(site: Site) -> None:
    pair = site.begin()
    site.codes.deny(pair.user_code, ALICE.user_id)
    with pytest.raises(SignInNotFound):
        site.codes.approve(pair.user_code, OWNER)
    assert site.codes.ask(pair.device_code) == Denied()


def test_codes_are_good_for_ten_minutes(site: Site) -> None:
    pair = site.begin()
    site.now += device_codes.LIFETIME
    with pytest.raises(SignInNotFound, match="Codes are good for ten minutes"):
        site.codes.approve(pair.user_code, OWNER)
    assert site.codes.ask(pair.device_code) == Gone()
    site.begin()
    assert len(site.codes._open) == len(site.codes._by_user_code) == 1


def test_who_asks_too_often_is_slowed_down(site: Site) -> None:
    pair = site.begin()
    site.codes.ask(pair.device_code)
    site.now += 0.5
    slower = device_codes.INTERVAL + device_codes.SLOWER
    assert site.codes.ask(pair.device_code) == Pending(slower, too_soon=True)
    site.now += slower
    assert site.codes.ask(pair.device_code) == Pending(slower)


def test_a_code_is_typed_as_people_type(site: Site) -> None:
    user_code = site.begin().user_code
    assert len(user_code) == 9
    assert set(user_code) <= {*device_codes.ALPHABET, "-"}
    for typed in (user_code.lower(), user_code.replace("-", " "), f" {user_code.replace('-', '')}\n"):
        assert site.codes.asked_with(typed, ALICE.user_id)[0].address == "10.0.0.7"


def test_guessing_is_slowed_down_for_who_guesses(site: Site) -> None:
    pair = site.begin()
    for _ in range(int(device_codes.WRONG_PER_MINUTE)):
        with pytest.raises(SignInNotFound):
            site.codes.asked_with("AAAA-AAAA", BOB.user_id)
    with pytest.raises(RateLimited, match="Wait a moment") as limited:
        site.codes.asked_with(pair.user_code, BOB.user_id)
    assert limited.value.retry_after is not None
    assert site.codes.asked_with(pair.user_code, ALICE.user_id)
    site.now += limited.value.retry_after + 0.1
    assert site.codes.asked_with(pair.user_code, BOB.user_id)


def test_one_address_cannot_take_all_codes(site: Site) -> None:
    for _ in range(device_codes.MOST_BY_ADDRESS):
        site.begin()
    with pytest.raises(RateLimited):
        site.begin()
    site.begin(address="10.0.0.8")
    site.now += device_codes.LIFETIME
    site.begin()


def test_two_that_are_made_alike_are_told_apart() -> None:
    made = iter(["BCDFGHJK", "BCDFGHJK", "LMNPQRST"])
    codes = DeviceCodes(user_code=lambda: next(made))
    asked = Asked(label="x", address="y")
    assert [codes.begin(asked).user_code for _ in range(2)] == ["BCDF-GHJK", "LMNP-QRST"]


def test_codes_are_kept_as_hashes_only(site: Site) -> None:
    pair = site.begin()
    kept = repr([site.codes._open, site.codes._by_user_code, [vars(each) for each in site.codes._open.values()]])
    assert pair.device_code not in kept
    assert device_codes.plain(pair.user_code) not in kept
