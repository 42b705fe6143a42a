"""Who is asked about a token, and for how long the answer counts."""

from __future__ import annotations

import asyncio

import pytest

from funcx_core.errors import AuthRequired, ServiceUnavailable
from funcx_core.service.auth.base import Authenticator, Identity, Provider
from funcx_core.service.auth.chain import Chain
from funcx_core.service.auth.local import digest_of
from tests.support.stored import ALICE, BOB


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


class Local(Authenticator):
    def __init__(self):
        self.asked = []
        self.forgotten = []

    async def authenticate(self, token):
        self.asked.append(token)
        return Identity(user=ALICE)

    def forget(self, digest):
        self.forgotten.append(digest)

    async def close(self):
        """Nothing is open."""


class Elsewhere(Provider):
    """Knows tokens that begin with its name."""

    advice = "Ask."

    def __init__(self, name, expires_at=None):
        self.name = self.title = name
        self.asked = 0
        self.expires_at = expires_at
        self.known = True
        self.trouble = None
        self.answer = asyncio.Event()
        self.answer.set()

    def accepts(self, token):
        return token.startswith(self.name)

    async def identify(self, token):
        self.asked += 1
        await self.answer.wait()
        if self.trouble:
            raise self.trouble

        async def groups():
            return frozenset({"lab"})

        found = Identity(user=BOB, proven_by=self.name, expires_at=self.expires_at, groups=groups)
        return found if self.known else None

    async def close(self):
        """Nothing is open."""


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def hub():
    return Elsewhere("hub")


@pytest.fixture
def globus():
    return Elsewhere("globus")


@pytest.fixture
def local():
    return Local()


@pytest.fixture
def chain(local, hub, globus, clock):
    return Chain(local, [hub, globus], remember_seconds=30, now=clock, monotonic=clock)


async def test_a_token_of_our_own_is_shown_to_nobody_else(chain, local, hub, globus):
    hub.accepts = globus.accepts = lambda token: True
    assert (await chain.authenticate("fxt_abc")).user == ALICE
    assert (hub.asked, globus.asked, local.asked) == (0, 0, ["fxt_abc"])


async def test_a_token_is_shown_to_the_one_provider_it_looks_like(chain, local, hub, globus):
    found = await chain.authenticate("globus-1")
    assert (found.user, found.proven_by) == (BOB, "globus")
    assert (hub.asked, globus.asked, local.asked) == (0, 1, [])


async def test_a_token_that_looks_like_nobodys_is_looked_up_here(chain, local):
    await chain.authenticate("whatever")
    assert local.asked == ["whatever"]


async def test_an_answer_counts_for_thirty_seconds(chain, globus, clock):
    await chain.authenticate("globus-1")
    clock.now += 29
    await chain.authenticate("globus-1")
    assert globus.asked == 1
    clock.now += 2
    await chain.authenticate("globus-1")
    assert globus.asked == 2


async def test_a_token_that_expires_meanwhile_is_refused(chain, globus, clock):
    globus.expires_at = clock.now + 10
    await chain.authenticate("globus-1")
    clock.now += 11
    with pytest.raises(AuthRequired, match=r"globus does not know this token, or it expired.* Ask\."):
        await chain.authenticate("globus-1")


async def test_a_refusal_counts_for_five_seconds(chain, globus, clock):
    globus.known = False
    for _ in range(3):
        with pytest.raises(AuthRequired):
            await chain.authenticate("globus-1")
    assert globus.asked == 1
    globus.known = True
    clock.now += 6
    assert (await chain.authenticate("globus-1")).user == BOB


async def test_many_requests_at_once_ask_once(chain, globus):
    globus.answer.clear()
    asking = [asyncio.ensure_future(chain.authenticate("globus-1")) for _ in range(5)]
    await asyncio.sleep(0)
    globus.answer.set()
    assert {found.user for found in await asyncio.gather(*asking)} == {BOB}
    assert globus.asked == 1


async def test_one_caller_who_goes_away_takes_nobody_along(chain, globus):
    globus.answer.clear()
    gone, stays = (asyncio.ensure_future(chain.authenticate("globus-1")) for _ in range(2))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.sleep(0)
    globus.answer.set()
    assert (await stays).user == BOB


async def test_a_provider_that_does_not_answer_is_no_refusal(chain, globus):
    globus.trouble = ServiceUnavailable("away")
    with pytest.raises(ServiceUnavailable):
        await chain.authenticate("globus-1")
    globus.trouble = None
    assert (await chain.authenticate("globus-1")).user == BOB


async def test_a_token_that_is_revoked_here_is_asked_for_anew(chain, local, globus):
    await chain.authenticate("globus-1")
    globus.known = False
    chain.forget(digest_of("globus-1"))
    with pytest.raises(AuthRequired):
        await chain.authenticate("globus-1")
    assert local.forgotten == [digest_of("globus-1")]


async def test_an_answer_that_was_under_way_when_the_token_was_revoked_is_not_remembered(chain, globus):
    globus.answer.clear()
    asking = asyncio.ensure_future(chain.authenticate("globus-1"))
    await asyncio.sleep(0)
    chain.forget(digest_of("globus-1"))
    globus.answer.set()
    await asking
    globus.known = False
    with pytest.raises(AuthRequired):
        await chain.authenticate("globus-1")


async def test_groups_are_those_of_where_the_user_signed_in(chain):
    assert await chain.groups_of(BOB) == frozenset()
    await chain.authenticate("globus-1")
    assert await chain.groups_of(BOB) == {"lab"}
    assert await chain.groups_of(ALICE) == frozenset()
