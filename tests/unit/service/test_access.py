"""Who may see, use and change what."""

from __future__ import annotations

import msgspec
import pytest

from funcx_core.ids import GroupRef, UserId
from funcx_core.service.access import (
    hinges_on_groups,
    may_manage,
    may_manage_group,
    may_run_there,
    may_see_group,
    may_use,
)
from funcx_core.service.store.records import Role

OWNER, OTHER = UserId("owner"), UserId("other")
TEAM, ANOTHER = GroupRef("team"), GroupRef("another")


class Thing(msgspec.Struct, frozen=True):
    owner_id: UserId = OWNER
    public: bool = False
    shared_with: GroupRef | None = None


@pytest.mark.parametrize(
    ("thing", "groups", "may"),
    [
        (Thing(), (), False),
        (Thing(), (TEAM,), False),
        (Thing(public=True), (), True),
        (Thing(shared_with=TEAM), (), False),
        (Thing(shared_with=TEAM), (ANOTHER,), False),
        (Thing(shared_with=TEAM), (ANOTHER, TEAM), True),
        (Thing(public=True, shared_with=TEAM), (), True),
    ],
)
def test_others_may_use_what_is_public_or_shared_with_a_group_of_theirs(thing, groups, may):
    assert may_use(thing, OTHER, groups) is may
    assert may_use(thing, OWNER, ()) is True


@pytest.mark.parametrize("thing", [Thing(), Thing(public=True), Thing(shared_with=TEAM)])
def test_only_the_owner_may_change_a_thing(thing):
    assert may_manage(thing, OWNER)
    assert not may_manage(thing, OTHER)


def test_groups_are_asked_for_only_if_it_depends_on_them():
    assert hinges_on_groups(Thing(shared_with=TEAM), OTHER)
    assert not hinges_on_groups(Thing(shared_with=TEAM), OWNER)
    assert not hinges_on_groups(Thing(public=True, shared_with=TEAM), OTHER)
    assert not hinges_on_groups(Thing(), OTHER)


def test_a_list_allows_by_id_and_by_content_and_an_empty_one_nothing():
    assert may_run_there("f", "sha256:1", None)
    assert may_run_there("f", "sha256:1", frozenset({"f"}))
    assert may_run_there("f", "sha256:1", frozenset({"sha256:1"}))
    assert not may_run_there("f", "sha256:1", frozenset({"g", "sha256:2"}))
    assert not may_run_there("f", "sha256:1", frozenset())


def test_members_see_a_group_and_admins_change_it():
    assert [may_see_group(role) for role in (Role.ADMIN, Role.MEMBER, None)] == [True, True, False]
    assert [may_manage_group(role) for role in (Role.ADMIN, Role.MEMBER, None)] == [True, False, False]
