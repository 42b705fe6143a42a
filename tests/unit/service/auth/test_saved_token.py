"""The token that a service saves for whoever starts it."""

from __future__ import annotations

import pytest

from funcx_core.errors import AuthRequired
from funcx_core.service.app import usable_token
from funcx_core.service.auth.local import LocalTokens, digest_of
from funcx_core.service.store import SqliteStore
from tests.support.stored import ALICE, BOB

MONTH = 30 * 86_400.0


class Clock:
    now = 1_700_000_000.0

    def __call__(self):
        return self.now


@pytest.fixture
async def store(tmp_path):
    async with SqliteStore(tmp_path / "service") as store:
        for user in (ALICE, BOB):
            await store.ensure_user(user)
        yield store


@pytest.fixture
async def tokens(store):
    made = LocalTokens(store, now=Clock(), monotonic=Clock())
    yield made
    await made.close()


async def expiry(store, token):
    return (await store.token(digest_of(token))).expires_at


async def test_the_first_start_makes_one_that_expires(store, tokens):
    token = await usable_token(tokens, ALICE, None, MONTH)
    assert await expiry(store, token) == Clock.now + MONTH


async def test_a_later_start_renews_the_same(store, tokens, monkeypatch):
    token = await usable_token(tokens, ALICE, None, MONTH)
    monkeypatch.setattr(Clock, "now", Clock.now + MONTH / 2)
    assert await usable_token(tokens, ALICE, token, MONTH) == token
    assert await expiry(store, token) == Clock.now + MONTH


async def test_one_that_expired_says_what_to_type_and_is_replaced(store, tokens, monkeypatch):
    token = await usable_token(tokens, ALICE, None, MONTH)
    monkeypatch.setattr(Clock, "now", Clock.now + MONTH)
    with pytest.raises(AuthRequired, match=r"expired on 20.*`funcx up` where the service runs renews"):
        await tokens.authenticate(token)
    assert await usable_token(tokens, ALICE, token, MONTH) != token


async def test_one_of_somebody_else_is_replaced(tokens):
    token = await usable_token(tokens, BOB, None, MONTH)
    assert await usable_token(tokens, ALICE, token, MONTH) != token


async def test_one_that_the_user_put_there_keeps_its_expiry(store, tokens):
    token = await tokens.mint(ALICE, label="mine", lifetime=60)
    assert await usable_token(tokens, ALICE, token, MONTH) == token
    assert await expiry(store, token) == Clock.now + 60


async def test_a_token_that_was_revoked_while_it_was_looked_up_is_not_remembered(store, tokens):
    token = await tokens.mint(ALICE, label="mine")
    look_up = tokens._look_up

    async def revoked_meanwhile(digest):
        identity = await look_up(digest)
        await tokens.revoke(ALICE, token)
        return identity

    tokens._look_up = revoked_meanwhile
    await tokens.authenticate(token)
    tokens._look_up = look_up
    with pytest.raises(AuthRequired, match="revoked"):
        await tokens.authenticate(token)


async def test_uses_are_noted_but_not_each_one(store, tokens):
    token = await tokens.mint(ALICE, label="mine")
    await tokens.authenticate(token)
    await tokens.close()
    assert (await store.token(digest_of(token))).last_used_at == Clock.now
