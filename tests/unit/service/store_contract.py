"""What every `Store` must do. A test module subclasses `StoreContract` and gives it the fixtures `store` and `reopen`."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from funcx_core.errors import AuthGroupNotFound, Conflict, ResourceLocked
from funcx_core.ids import (
    ClientId,
    ContainerId,
    EndpointId,
    FunctionId,
    GroupId,
    GroupRef,
    TaskId,
    new_function_id,
    new_group_id,
    new_task_id,
)
from funcx_core.protocol.endpoint import EndpointStatus
from funcx_core.protocol.environment import Environment
from funcx_core.protocol.task import (
    ContainerImage,
    EventKind,
    Lease,
    TaskError,
    TaskEvent,
    TaskOptions,
    TaskResult,
    TaskState,
    TaskTimes,
    Transition,
    event_seq,
)
from funcx_core.service.store.base import Store
from funcx_core.service.store.records import (
    Client,
    Container,
    EndpointChange,
    FunctionChange,
    FunctionQuery,
    OpenTask,
    Role,
    Sought,
    Token,
    User,
    UserGroup,
)
from tests.support.stored import (
    ALICE,
    BOB,
    ENDPOINT,
    FUNCTION,
    GROUP,
    KEY,
    NOW,
    OTHER_ENDPOINT,
    a_call,
    a_function,
    a_result,
    a_submission,
    an_endpoint,
    calls,
)

LARGE = bytes(range(256)) * 1024  # four times what is kept in the database itself
MUCH = 1 << 40
TEAM = GroupRef("00000000-0000-4000-8000-00000000007e")
CONTAINER = ContainerId("00000000-0000-4000-8000-0000000000c1")
OTHER_FUNCTION = FunctionId("00000000-0000-4000-8000-0000000000f2")
NO_GROUPS: frozenset[GroupRef] = frozenset()
FAR_FUTURE = 1e11


async def state_of(store: Store, task_id: TaskId) -> TaskState:
    return (await store.tasks(ALICE.user_id, [task_id]))[task_id].state


async def a_library(store: Store) -> None:
    """Functions with "fft" in some place, by how well they fit, worst first; and some that are not for everybody."""
    of_all: list[tuple[str, str, str]] = [
        ("by source", "", "import FFT"),
        ("by description", "an fft", ""),
        ("my_fft", "", ""),
        ("fft_2d", "", ""),
        ("fft", "", ""),
        ("something else", "", ""),
    ]
    for number, (name, description, source) in enumerate(of_all):
        # The best ones are the oldest, so that it is not their age that brings them forward.
        await a_named(store, name, source, description=description, public=True, created_at=-float(number))
    await a_named(store, "fft_private")
    await a_named(store, "fft_team", shared_with=TEAM)
    await a_named(store, "fft_hidden", public=True, searchable=False)
    await a_named(store, "of bob", owner_id=BOB.user_id)


async def a_named(store: Store, name: str, source: str = "", **fields: Any) -> None:
    stored = msgspec.structs.replace(a_function(), **fields)
    await store.add_function(
        msgspec.structs.replace(stored, function=msgspec.structs.replace(stored.function, name=name)), source
    )


class StoreContract:
    # --- users and tokens --------------------------------------------------------------------------------------

    async def test_a_user_is_made_once_per_name(self, store: Store) -> None:
        assert await store.ensure_user(ALICE) == ALICE
        again = await store.ensure_user(type(ALICE)(BOB.user_id, ALICE.name))
        assert again == ALICE
        assert await store.user(ALICE.user_id) == ALICE
        assert await store.user(BOB.user_id) is None

    async def test_a_token_is_kept_and_revoked_by_its_owner_only(self, store: Store) -> None:
        token = Token(digest="d" * 64, user_id=ALICE.user_id, label="t", created_at=1.0, expires_at=2.0)
        await store.add_token(token)
        assert await store.token("d" * 64) == token
        assert not await store.revoke_token(BOB.user_id, "d" * 64)
        assert await store.revoke_token(ALICE.user_id, "d" * 64)
        found = await store.token("d" * 64)
        assert found is not None
        assert found.revoked
        assert await store.token("e" * 64) is None

    async def test_tokens_are_listed_and_revoked_by_their_owner(self, store: Store) -> None:
        first = Token(digest="1" * 64, user_id=ALICE.user_id, label="t", created_at=1.0)
        second = Token(digest="2" * 64, user_id=ALICE.user_id, label="t", created_at=2.0, scopes=frozenset())
        for token in (first, second):
            await store.add_token(token)
        assert await store.accounts.tokens(ALICE.user_id) == [second, first]
        assert await store.accounts.tokens(BOB.user_id) == []
        assert await store.accounts.revoke(BOB.user_id, first.token_id) == []
        assert await store.accounts.revoke(ALICE.user_id, first.token_id) == [first.digest]
        assert await store.accounts.revoke(ALICE.user_id, first.token_id) == []
        assert await store.accounts.tokens(ALICE.user_id) == [second]

    async def test_a_token_is_extended_unless_it_was_revoked(self, store: Store) -> None:
        token = Token(digest="1" * 64, user_id=ALICE.user_id, label="t", created_at=1.0, expires_at=2.0)
        await store.add_token(token)
        assert await store.accounts.extend(token.digest, 9.0)
        await store.accounts.used(token.digest, 5.0)
        found = await store.token(token.digest)
        assert found is not None
        assert (found.expires_at, found.last_used_at) == (9.0, 5.0)
        await store.revoke_token(ALICE.user_id, token.digest)
        assert not await store.accounts.extend(token.digest, 99.0)

    async def test_a_client_goes_with_its_tokens(self, store: Store) -> None:
        client = Client(
            client_id=ClientId(ENDPOINT), user_id=ALICE.user_id, label="c", secret_digest="5" * 64, created_at=1.0
        )
        await store.accounts.add_client(client)
        for digest, client_id in (("1" * 64, client.client_id), ("2" * 64, None)):
            await store.add_token(
                Token(digest=digest, user_id=ALICE.user_id, label="t", created_at=1.0, client_id=client_id)
            )
        assert await store.accounts.client(client.client_id) == client
        assert await store.accounts.clients(ALICE.user_id) == [client]
        assert await store.accounts.delete_client(BOB.user_id, client.client_id) is None
        assert await store.accounts.delete_client(ALICE.user_id, client.client_id) == ["1" * 64]
        assert await store.accounts.client(client.client_id) is None
        assert [token.digest for token in await store.accounts.tokens(ALICE.user_id)] == ["2" * 64]

    async def test_an_account_is_one_user_whichever_of_its_identities_signs_in(self, store: Store) -> None:
        accounts = store.accounts
        assert await accounts.user_of("globus", ["ada", "linked"], ALICE) == ALICE
        assert await accounts.user_of("globus", ["ada"], BOB) == ALICE
        assert await accounts.user_of("globus", ["new", "ada"], BOB) == ALICE
        assert await accounts.user_of("globus", ["new"], BOB) == ALICE
        assert await accounts.user_of("jupyterhub", ["ada"], BOB) == BOB

    async def test_the_name_of_somebody_else_is_no_way_to_become_them(self, store: Store) -> None:
        await store.ensure_user(ALICE)
        found = await store.accounts.user_of("globus", ["mallory"], type(ALICE)(BOB.user_id, ALICE.name))
        assert (found.user_id, found.name) == (BOB.user_id, "alice (mallory)")

    # --- functions ---------------------------------------------------------------------------------------------

    async def test_a_function_is_registered_once(self, store: Store) -> None:
        stored = a_function()
        assert await store.add_function(stored)
        assert not await store.add_function(stored)
        assert await store.function(stored.function.function_id) == stored
        assert await store.functions([stored.function.function_id, new_function_id()]) == [stored.function]
        assert await store.function(FunctionId("unknown")) is None

    async def test_a_function_id_cannot_change_its_body_or_owner(self, store: Store) -> None:
        stored = a_function()
        await store.add_function(stored)
        for other in (
            a_function(b"other", function_id=stored.function.function_id),
            a_function(owner=BOB, function_id=stored.function.function_id),
        ):
            with pytest.raises(Conflict):
                await store.add_function(other)
        assert await store.function(stored.function.function_id) == stored

    async def test_what_is_said_about_a_function_is_kept(self, store: Store) -> None:
        await store.ensure_user(ALICE)
        stored = msgspec.structs.replace(
            a_function(), shared_with=TEAM, searchable=False, container_id=CONTAINER, entry_point="f"
        )
        await store.add_function(stored, "def f(): ...")
        function_id = stored.function.function_id
        # There is no such container any more, which whoever runs the function is told.
        gone = msgspec.structs.replace(stored.function, container=ContainerImage(CONTAINER, "", ""))
        assert await store.function(function_id) == msgspec.structs.replace(stored, function=gone)
        found = await store.function_catalog.describe(function_id)
        assert found is not None
        assert (found.source, found.owner_name, found.entry_point) == ("def f(): ...", "alice", "f")

    async def test_a_function_is_changed_and_deleted_by_its_owner_only(self, store: Store) -> None:
        stored = a_function()
        function_id, catalog = stored.function.function_id, store.function_catalog
        await store.add_function(stored)
        change = FunctionChange(public=True, shared_with=TEAM)
        assert not await catalog.change(BOB.user_id, function_id, change)
        assert await catalog.change(ALICE.user_id, function_id, change)
        assert await catalog.change(ALICE.user_id, function_id, FunctionChange())
        changed = msgspec.structs.replace(stored, public=True, shared_with=TEAM)
        assert await store.function(function_id) == changed
        assert await catalog.change(ALICE.user_id, function_id, FunctionChange(shared_with=None))
        assert not await catalog.delete(BOB.user_id, function_id)
        assert await catalog.delete(ALICE.user_id, function_id)
        assert not await catalog.delete(ALICE.user_id, function_id)
        assert not await catalog.change(ALICE.user_id, function_id, change)
        assert await store.function(function_id) is None
        assert await store.functions([function_id]) == [stored.function]  # open tasks may need it
        assert await catalog.names([function_id]) == {function_id: "double"}
        with pytest.raises(Conflict):
            await store.add_function(stored)

    async def test_a_search_finds_what_the_viewer_may_use_best_first(self, store: Store) -> None:
        for user in (ALICE, BOB):
            await store.ensure_user(user)
        await a_library(store)
        catalog = store.function_catalog

        async def found(*words: str, viewer: User = BOB, groups: frozenset[GroupRef] = NO_GROUPS, **more) -> list[str]:
            query = FunctionQuery(
                viewer_id=viewer.user_id,
                groups=groups,
                words=tuple((Sought.ANYWHERE, word) for word in words),
                **more,
            )
            page, total = await catalog.find(query)
            assert total == len(page)
            return [each.name for each in page]

        assert await found("FFT") == ["fft", "fft_2d", "my_fft", "by description", "by source"]
        assert await found("fft", "2d") == ["fft_2d"]
        assert await found("fft%") == []
        assert {"fft_team", "fft_hidden", "fft_private"} <= set(await found("fft", viewer=ALICE))
        assert "fft_team" in await found("fft", groups=frozenset({TEAM}))
        assert "fft_hidden" not in await found("fft", groups=frozenset({TEAM}))
        assert set(await found(owner="bob")) == {"of bob"}
        assert await found(owner="nobody") == []

    async def test_a_search_is_cut_into_pages(self, store: Store) -> None:
        await store.ensure_user(ALICE)
        for number in range(5):
            function = msgspec.structs.replace(a_function(b"%d" % number), created_at=float(number))
            await store.add_function(function)
        query = FunctionQuery(viewer_id=ALICE.user_id, groups=NO_GROUPS, limit=2, offset=3)
        page, total = await store.function_catalog.find(query)
        assert (len(page), total) == (2, 5)
        assert [each.created_at for each in page] == [1.0, 0.0]

    # --- what is beside them -----------------------------------------------------------------------------------

    async def test_groups_have_members_and_at_least_one_admin(self, store: Store) -> None:
        for user in (ALICE, BOB):
            await store.ensure_user(user)
        groups, team = store.groups, UserGroup(group_id=TEAM, name="team", created_at=1.0)
        await groups.create(team, ALICE.user_id)
        with pytest.raises(Conflict):
            await groups.create(msgspec.structs.replace(team, group_id=GroupRef("other")), BOB.user_id)
        assert await groups.find(ALICE.user_id, "team") == await groups.find(ALICE.user_id, TEAM) == (team, Role.ADMIN)
        assert await groups.find(BOB.user_id, "team") is None
        await groups.put_member(TEAM, BOB.user_id, Role.MEMBER)
        assert await groups.groups_of(BOB.user_id) == {TEAM}
        assert [(each.name, each.role) for each in await groups.members(TEAM)] == [
            ("alice", "admin"),
            ("bob", "member"),
        ]
        for losing in (
            groups.remove_member(TEAM, ALICE.user_id),
            groups.put_member(TEAM, ALICE.user_id, Role.MEMBER),
        ):
            with pytest.raises(Conflict, match="no admin"):
                await losing
        await groups.put_member(TEAM, BOB.user_id, Role.ADMIN)
        assert await groups.remove_member(TEAM, ALICE.user_id)
        assert not await groups.remove_member(TEAM, ALICE.user_id)
        assert await groups.list_of(ALICE.user_id) == []
        assert await groups.delete(TEAM)
        assert not await groups.delete(TEAM)
        assert await groups.groups_of(BOB.user_id) == frozenset()
        with pytest.raises(AuthGroupNotFound):
            await groups.put_member(TEAM, ALICE.user_id, Role.ADMIN)
        assert await groups.user_named("bob") == BOB
        assert await groups.user_named("nobody") is None

    async def test_containers_are_listed_for_those_who_may_use_them(self, store: Store) -> None:
        container = Container(
            container_id=CONTAINER,
            owner_id=ALICE.user_id,
            name="n",
            description="",
            kind="docker",
            location="docker://x",
        )
        shared = msgspec.structs.replace(
            container, container_id=ContainerId("shared"), shared_with=TEAM, created_at=1.0
        )
        public = msgspec.structs.replace(container, container_id=ContainerId("public"), public=True, created_at=2.0)
        for each in (container, shared, public):
            await store.containers.add(each)
        await store.ensure_user(ALICE)
        stored = msgspec.structs.replace(a_function(), container_id=CONTAINER)
        await store.add_function(stored)
        image = ContainerImage(CONTAINER, container.kind, container.location)
        assert [each.container for each in await store.functions([stored.function.function_id])] == [image]
        assert await store.containers.get(CONTAINER) == container
        assert await store.containers.usable(ALICE.user_id, ()) == [public, shared, container]
        assert await store.containers.usable(BOB.user_id, ()) == [public]
        assert await store.containers.usable(BOB.user_id, {TEAM}) == [public, shared]
        assert not await store.containers.delete(BOB.user_id, CONTAINER)
        assert await store.containers.delete(ALICE.user_id, CONTAINER)
        assert await store.containers.get(CONTAINER) is None

    async def test_a_list_of_allowed_functions_makes_its_endpoint_restricted(self, store: Store) -> None:
        await store.save_endpoint(an_endpoint())
        lists = store.allow_lists
        await lists.add(ENDPOINT, ["a", "b"])
        await lists.add(ENDPOINT, ["b", "c"])
        assert set(await lists.of(ENDPOINT)) == {"a", "b", "c"}
        found = await store.endpoint(ENDPOINT)
        assert found is not None
        assert found.restricted
        assert await lists.remove(ENDPOINT, "a")
        assert not await lists.remove(ENDPOINT, "a")
        await lists.replace(ENDPOINT, ["d"])
        assert await lists.of(ENDPOINT) == ["d"]
        assert await lists.of(OTHER_ENDPOINT) == []

    # --- endpoints ---------------------------------------------------------------------------------------------

    async def test_registering_an_endpoint_again_renews_it(self, store: Store) -> None:
        await store.save_endpoint(an_endpoint(name="old"))
        await store.save_endpoint(an_endpoint(name="new", key="B" * 40))
        found = await store.endpoint(ENDPOINT)
        assert found is not None
        assert (found.name, found.public_key) == ("new", "B" * 40)
        assert await store.endpoint_by_key("B" * 40) == ENDPOINT
        assert await store.endpoint_by_key(KEY) is None

    async def test_what_there_is_on_an_endpoint_is_kept_until_it_is_deleted(self, store: Store) -> None:
        await store.save_endpoint(an_endpoint())
        assert (await store.environments.get(ENDPOINT)).environments == []
        old, new = Environment(python_version="3.11.7"), Environment(python_version="3.13.0", packages={"numpy": "2.0"})
        await store.save_environments(ENDPOINT, [old])
        await store.save_environments(ENDPOINT, [old, new])
        reported = await store.environments.get(ENDPOINT)
        assert reported.environments == [old, new]
        assert reported.reported_at > 0
        assert await store.delete_endpoint(ALICE.user_id, ENDPOINT)
        assert (await store.environments.get(ENDPOINT)).environments == []

    async def test_an_endpoint_of_somebody_else_cannot_be_taken_over(self, store: Store) -> None:
        await store.save_endpoint(an_endpoint())
        with pytest.raises(Conflict):
            await store.save_endpoint(an_endpoint(owner=BOB, key="B" * 40))
        with pytest.raises(Conflict):  # nor its key
            await store.save_endpoint(an_endpoint(OTHER_ENDPOINT, owner=BOB))
        assert await store.endpoint_by_key(KEY) == ENDPOINT

    async def test_endpoints_without_a_key_do_not_collide(self, store: Store) -> None:
        await store.save_endpoint(an_endpoint(key=""))
        await store.save_endpoint(an_endpoint(OTHER_ENDPOINT, key=""))
        assert await store.endpoint_by_key("") is None

    async def test_endpoints_are_listed_newest_first_and_only_to_their_owner(self, store: Store) -> None:
        await store.save_endpoint(an_endpoint(created_at=1))
        await store.save_endpoint(an_endpoint(OTHER_ENDPOINT, key="", created_at=2))
        assert [each.endpoint_id for each in await store.endpoints(ALICE.user_id)] == [OTHER_ENDPOINT, ENDPOINT]
        assert await store.endpoints(BOB.user_id) == []

    async def test_endpoints_are_listed_to_those_who_may_use_them(self, store: Store) -> None:
        await store.save_endpoint(an_endpoint(owner=BOB, created_at=1))
        await store.save_endpoint(an_endpoint(OTHER_ENDPOINT, key="", created_at=2))

        async def usable(*groups: GroupRef) -> list[EndpointId]:
            return [each.endpoint_id for each in await store.usable_endpoints(BOB.user_id, groups)]

        assert await usable(TEAM) == [ENDPOINT]
        assert not await store.change_endpoint(BOB.user_id, OTHER_ENDPOINT, EndpointChange(public=True))
        assert await store.change_endpoint(ALICE.user_id, OTHER_ENDPOINT, EndpointChange(shared_with=TEAM))
        assert await store.change_endpoint(ALICE.user_id, OTHER_ENDPOINT, EndpointChange())
        assert await usable() == [ENDPOINT]
        assert await usable(TEAM) == [ENDPOINT, OTHER_ENDPOINT]
        await store.save_endpoint(an_endpoint(OTHER_ENDPOINT, key="", name="renewed"))  # stays shared
        assert await usable(TEAM) == [ENDPOINT, OTHER_ENDPOINT]
        assert await store.change_endpoint(ALICE.user_id, OTHER_ENDPOINT, EndpointChange(shared_with=None, public=True))
        assert await usable() == [ENDPOINT, OTHER_ENDPOINT]

    async def test_a_locked_endpoint_neither_registers_nor_connects(self, store: Store) -> None:
        await store.save_endpoint(an_endpoint())
        await store.change_endpoint(ALICE.user_id, ENDPOINT, EndpointChange(locked_until=FAR_FUTURE))
        with pytest.raises(ResourceLocked):
            await store.save_endpoint(an_endpoint())
        assert await store.endpoint_by_key(KEY) is None
        await store.change_endpoint(ALICE.user_id, ENDPOINT, EndpointChange(locked_until=1.0))
        await store.save_endpoint(an_endpoint())
        assert await store.endpoint_by_key(KEY) == ENDPOINT

    async def test_open_tasks_of_a_deleted_endpoint_are_not_forgotten(self, store: Store) -> None:
        await store.save_endpoint(an_endpoint())
        call = a_call()
        await store.submit(a_submission(call))
        assert await store.abandoned_endpoints() == []
        await store.delete_endpoint(ALICE.user_id, ENDPOINT)
        assert await store.abandoned_endpoints() == [ENDPOINT]
        await store.complete(ENDPOINT, [a_result(call.task_id)])
        assert await store.abandoned_endpoints() == []

    async def test_a_deleted_endpoint_has_gone_for_good(self, store: Store) -> None:
        await store.save_endpoint(an_endpoint())
        assert not await store.delete_endpoint(BOB.user_id, ENDPOINT)
        assert await store.delete_endpoint(ALICE.user_id, ENDPOINT)
        assert not await store.delete_endpoint(ALICE.user_id, ENDPOINT)
        assert await store.endpoint(ENDPOINT) is None
        assert await store.endpoints(ALICE.user_id) == []
        assert await store.endpoint_by_key(KEY) is None
        with pytest.raises(Conflict):
            await store.save_endpoint(an_endpoint())
        await store.save_endpoint(an_endpoint(OTHER_ENDPOINT))  # its key may be used again

    async def test_an_endpoint_is_seen_and_goes_away(self, store: Store) -> None:
        await store.save_endpoint(an_endpoint())
        await store.endpoint_seen(ENDPOINT, EndpointStatus(workers=3), online=True, epoch=5)
        await store.endpoint_seen(ENDPOINT, None, online=False, epoch=4)  # an older agent: does not count
        found = await store.endpoint(ENDPOINT)
        assert found is not None
        assert found.online
        assert found.status == EndpointStatus(workers=3)
        assert found.last_seen > 0
        await store.endpoint_seen(ENDPOINT, None, online=False, epoch=5)
        gone = await store.endpoint(ENDPOINT)
        assert gone is not None
        assert not gone.online
        assert gone.status == EndpointStatus(workers=3)
        assert gone.last_seen == found.last_seen

    async def test_after_a_restart_nobody_is_online(self, store: Store) -> None:
        await store.save_endpoint(an_endpoint())
        await store.endpoint_seen(ENDPOINT, None, online=True, epoch=1)
        await store.all_offline()
        found = await store.endpoint(ENDPOINT)
        assert found is not None
        assert not found.online

    # --- submit ------------------------------------------------------------------------------------------------

    async def test_a_submitted_task_is_there(self, store: Store) -> None:
        call = a_call()
        receipt = await store.submit(a_submission(call))
        assert (receipt.repeated, receipt.conflicting) == (frozenset(), frozenset())
        row = (await store.tasks(ALICE.user_id, [call.task_id]))[call.task_id]
        assert (row.function_id, row.endpoint_id, row.group_id) == (FUNCTION, ENDPOINT, GROUP)
        assert (row.state, row.attempt, row.received_at, row.completed_at) == (TaskState.RECEIVED, 1, NOW, 0)

    async def test_tasks_are_offered_in_the_order_of_acceptance(self, store: Store) -> None:
        many = calls(1300)  # more than fits into one statement
        await store.submit(a_submission(*many[:700]))
        await store.submit(a_submission(*many[700:]))
        await store.submit(a_submission(*calls(3), endpoint_id=OTHER_ENDPOINT))
        ids = [call.task_id for call in many]
        assert await store.open_tasks(ENDPOINT, at_most=5000) == ids
        assert await store.open_tasks(ENDPOINT, at_most=10) == ids[:10]
        offers = await store.offers(ids[::-1])
        assert [offer.task.task_id for offer in offers] == ids[::-1]
        assert [offer.task.payload for offer in offers] == [call.payload for call in many[::-1]]
        assert {(offer.owner_id, offer.group_id, offer.cancelling) for offer in offers} == {
            (ALICE.user_id, GROUP, False)
        }

    async def test_open_tasks_are_read_from_all_owners_and_priorities_in_turns(self, store: Store) -> None:
        many, few, urgent = calls(50), calls(2), calls(1)
        await store.submit(a_submission(*many))
        await store.submit(a_submission(*few, owner=BOB))
        await store.submit(a_submission(*urgent, options=TaskOptions(priority=5)))
        found = await store.open_tasks(ENDPOINT, at_most=6)
        assert set(found) == {call.task_id for call in (*many[:3], *few, *urgent)}
        assert set(found[:3]) == {many[0].task_id, few[0].task_id, urgent[0].task_id}
        everything = await store.open_tasks(ENDPOINT, at_most=1000)
        assert len(everything) == 53
        assert [task_id for task_id in everything if task_id in {call.task_id for call in many}] == [
            call.task_id for call in many
        ]
        assert await store.open_tasks(ENDPOINT, at_most=0) == []

    async def test_options_travel_with_their_tasks(self, store: Store) -> None:
        plain, special = a_call(), a_call()
        options = TaskOptions(walltime=5, retry_on_loss=2, tags={"cell": "7"})
        await store.submit(a_submission(plain))
        await store.submit(a_submission(special, options=options))
        first, second = await store.offers([plain.task_id, special.task_id])
        assert first.task.options is None
        assert second.task.options == options

    async def test_tasks_that_are_read_again_name_the_container_of_their_function(self, store: Store) -> None:
        container = Container(
            container_id=CONTAINER, owner_id=ALICE.user_id, name="c", description="", kind="docker", location="python:3"
        )
        await store.containers.add(container)
        await store.add_function(
            msgspec.structs.replace(a_function(function_id=OTHER_FUNCTION), container_id=CONTAINER)
        )
        own = ContainerImage("own", "docker", "own:1")
        plain, special = a_call(function_id=OTHER_FUNCTION), a_call(function_id=OTHER_FUNCTION)
        await store.submit(a_submission(plain))
        options = TaskOptions(container_id=ContainerId("own"), container=own)
        await store.submit(a_submission(special, options=options))
        first, second = await store.offers([plain.task_id, special.task_id])
        image = ContainerImage(CONTAINER, "docker", "python:3")
        assert first.task.options == TaskOptions(container_id=CONTAINER, container=image)
        assert second.task.options == options

    async def test_the_same_submit_again_changes_nothing(self, store: Store) -> None:
        old, new = calls(3), calls(2)
        await store.submit(a_submission(*old))
        receipt = await store.submit(a_submission(*old, *new))
        assert receipt.repeated == {call.task_id for call in old}
        assert receipt.conflicting == frozenset()
        assert await store.open_tasks(ENDPOINT, at_most=100) == [call.task_id for call in (*old, *new)]

    async def test_a_repeated_submit_is_known_after_the_task_ended(self, store: Store) -> None:
        call = a_call()
        await store.submit(a_submission(call))
        await store.complete(ENDPOINT, [a_result(call.task_id)])
        assert (await store.submit(a_submission(call))).repeated == {call.task_id}
        assert await state_of(store, call.task_id) is TaskState.SUCCESS

    @pytest.mark.parametrize(
        "change",
        [
            pytest.param({"payload": b"other"}, id="payload"),
            pytest.param({"function_id": FunctionId("00000000-0000-4000-8000-0000000000f2")}, id="function"),
            pytest.param({"endpoint_id": OTHER_ENDPOINT}, id="endpoint"),
            pytest.param({"options": TaskOptions(walltime=1)}, id="options"),
            pytest.param({"owner": BOB}, id="owner"),
        ],
    )
    async def test_the_same_id_with_another_content_is_a_conflict(self, store: Store, change: dict) -> None:
        first, other = a_call(), a_call()
        await store.submit(a_submission(first))
        in_call = {name: value for name, value in change.items() if name in {"payload", "function_id"}}
        in_submit = {name: value for name, value in change.items() if name not in in_call}
        changed = a_call(task_id=first.task_id, **in_call)
        receipt = await store.submit(a_submission(changed, other, **in_submit))
        assert receipt.conflicting == {first.task_id}
        assert receipt.repeated == frozenset()
        (offer,) = await store.offers([first.task_id])
        assert (offer.task.payload, offer.owner_id) == (first.payload, ALICE.user_id)

    async def test_open_tasks_are_counted_per_owner(self, store: Store) -> None:
        mine = calls(3)
        await store.submit(a_submission(*mine))
        await store.submit(a_submission(*calls(2), owner=BOB))
        await store.complete(ENDPOINT, [a_result(mine[0].task_id)])
        assert await store.count_open(ALICE.user_id) == 2
        assert await store.count_open(BOB.user_id) == 2

    async def test_a_group_lists_its_tasks_to_its_owner(self, store: Store) -> None:
        first, second, other = calls(2), calls(3), calls(1)
        await store.submit(a_submission(*first))
        await store.submit(a_submission(*other, group_id=new_group_id()))
        await store.submit(a_submission(*second))
        await store.submit(a_submission(*calls(1), owner=BOB))
        assert await store.group(ALICE.user_id, GROUP) == [call.task_id for call in (*first, *second)]
        assert await store.group(BOB.user_id, GroupId("unknown")) == []

    # --- results -----------------------------------------------------------------------------------------------

    async def test_a_result_ends_its_task(self, store: Store) -> None:
        call = a_call()
        await store.submit(a_submission(call))
        times = TaskTimes(1, 2, 3, 4)
        await store.complete(ENDPOINT, [TaskResult(call.task_id, 1, TaskState.SUCCESS, b"pb\nv", None, times)])
        row = (await store.tasks(ALICE.user_id, [call.task_id]))[call.task_id]
        assert (row.state, row.value, row.error, row.times) == (TaskState.SUCCESS, b"pb\nv", None, times)
        assert row.completed_at > 0
        assert await store.open_tasks(ENDPOINT, at_most=10) == []
        assert await store.offers([call.task_id]) == []

    async def test_a_brief_look_at_tasks_has_no_values(self, store: Store) -> None:
        small, large = calls(2)
        await store.submit(a_submission(small, large))
        await store.complete(ENDPOINT, [a_result(small.task_id, b"pb\nv"), a_result(large.task_id, LARGE)])
        ids = [small.task_id, large.task_id]
        whole = await store.tasks(ALICE.user_id, ids)
        brief = await store.tasks(ALICE.user_id, ids, brief=True)
        assert [whole[task_id].value for task_id in ids] == [b"pb\nv", LARGE]
        assert brief == {task_id: msgspec.structs.replace(row, value=b"") for task_id, row in whole.items()}

    async def test_a_failure_keeps_its_error(self, store: Store) -> None:
        call = a_call()
        await store.submit(a_submission(call))
        error = TaskError(code="remote_task_error", message="boom", exception=b"\x80", details={"signal": 9})
        result = TaskResult(call.task_id, 1, TaskState.FAILED, error=error)
        await store.complete(ENDPOINT, [result])
        found, left = await store.results(ALICE.user_id, [call.task_id], at_most_bytes=MUCH)
        assert (found, left) == ([result], [])

    @pytest.mark.parametrize("wrong", [{"attempt": 2}, {"endpoint_id": OTHER_ENDPOINT}, {"twice": True}])
    async def test_a_result_that_does_not_fit_its_lease_changes_nothing(self, store: Store, wrong: dict) -> None:
        call = a_call()
        await store.submit(a_submission(call))
        if "twice" in wrong:
            await store.complete(ENDPOINT, [a_result(call.task_id, b"pb\nfirst")])
        before = await store.tasks(ALICE.user_id, [call.task_id])
        late = a_result(call.task_id, b"pb\nlate", attempt=wrong.get("attempt", 1))
        await store.complete(wrong.get("endpoint_id", ENDPOINT), [late])
        assert await store.tasks(ALICE.user_id, [call.task_id]) == before

    async def test_many_results_are_committed_together(self, store: Store) -> None:
        many = calls(1111)
        await store.submit(a_submission(*many))
        await store.complete(ENDPOINT, [a_result(call.task_id, call.payload) for call in many])
        found, left = await store.results(ALICE.user_id, [call.task_id for call in many], at_most_bytes=MUCH)
        assert left == []
        assert [(each.task_id, each.value) for each in found] == [(call.task_id, call.payload) for call in many]

    async def test_results_come_in_bounded_portions(self, store: Store) -> None:
        many = calls(5)
        ids = [call.task_id for call in many]
        await store.submit(a_submission(*many))
        await store.complete(ENDPOINT, [a_result(task_id, b"x" * 1000) for task_id in ids[1:]])
        found, left = await store.results(ALICE.user_id, ids, at_most_bytes=1500)
        assert [each.task_id for each in found] == ids[1:3]  # the first one is open
        assert left == ids[3:]
        found, left = await store.results(ALICE.user_id, left, at_most_bytes=1)
        assert ([each.task_id for each in found], left) == (ids[3:4], ids[4:])

    async def test_large_contents_come_back_whole(self, store: Store) -> None:
        call, small = a_call(LARGE), a_call()
        await store.submit(a_submission(call, small))
        (offer,) = await store.offers([call.task_id])
        assert offer.task.payload == LARGE
        await store.complete(ENDPOINT, [a_result(call.task_id, LARGE[::-1]), a_result(small.task_id)])
        row = (await store.tasks(ALICE.user_id, [call.task_id]))[call.task_id]
        assert row.value == LARGE[::-1]
        assert await store.offers([call.task_id]) == []

    async def test_a_large_repeated_or_conflicting_call_leaves_the_first_as_it_was(self, store: Store) -> None:
        call = a_call(LARGE)
        await store.submit(a_submission(call))
        assert (await store.submit(a_submission(call))).repeated == {call.task_id}
        other = a_call(LARGE[::-1], task_id=call.task_id)
        assert (await store.submit(a_submission(other))).conflicting == {call.task_id}
        (offer,) = await store.offers([call.task_id])
        assert offer.task.payload == LARGE

    async def test_others_see_nothing(self, store: Store) -> None:
        call = a_call()
        await store.submit(a_submission(call))
        await store.complete(ENDPOINT, [a_result(call.task_id)])
        assert await store.tasks(BOB.user_id, [call.task_id]) == {}
        assert await store.results(BOB.user_id, [call.task_id], at_most_bytes=MUCH) == ([], [])
        assert await store.group(BOB.user_id, GROUP) == []

    # --- leases ------------------------------------------------------------------------------------------------

    async def test_an_attempt_is_raised_and_fences_the_one_before(self, store: Store) -> None:
        call = a_call()
        await store.submit(a_submission(call))
        await store.begin_attempts([Lease(call.task_id, 2)])
        await store.begin_attempts([Lease(call.task_id, 1)])  # never back
        (offer,) = await store.offers([call.task_id])
        assert offer.task.attempt == 2
        await store.complete(ENDPOINT, [a_result(call.task_id, attempt=1)])
        assert await state_of(store, call.task_id) is TaskState.WAITING_FOR_EP
        await store.complete(ENDPOINT, [a_result(call.task_id, attempt=2)])
        assert await state_of(store, call.task_id) is TaskState.SUCCESS

    async def test_headers_name_the_current_leases_of_an_endpoint(self, store: Store) -> None:
        current, ended, raised, foreign = calls(4)
        await store.submit(a_submission(current, ended, raised))
        await store.submit(a_submission(foreign, endpoint_id=OTHER_ENDPOINT))
        await store.complete(ENDPOINT, [a_result(ended.task_id)])
        await store.begin_attempts([Lease(raised.task_id, 2)])
        leases = [Lease(call.task_id, 1) for call in (current, ended, raised, foreign)]
        found = await store.headers(ENDPOINT, [*leases, Lease(new_task_id(), 1)])
        assert [(offer.task.task_id, offer.task.payload) for offer in found] == [(current.task_id, b"")]

    async def test_a_transition_is_recorded_for_the_current_attempt_of_an_open_task(self, store: Store) -> None:
        call = a_call()
        await store.submit(a_submission(call))
        task_id = call.task_id
        await store.transition(ENDPOINT, [Transition(task_id, 1, TaskState.RUNNING, 0)])
        assert await state_of(store, task_id) is TaskState.RUNNING
        await store.transition(ENDPOINT, [Transition(task_id, 2, TaskState.WAITING_FOR_NODES, 0)])
        await store.transition(OTHER_ENDPOINT, [Transition(task_id, 1, TaskState.WAITING_FOR_NODES, 0)])
        await store.transition(ENDPOINT, [Transition(task_id, 1, TaskState.SUCCESS, 0)])  # only a result ends a task
        assert await state_of(store, task_id) is TaskState.RUNNING
        await store.complete(ENDPOINT, [a_result(task_id)])
        await store.transition(ENDPOINT, [Transition(task_id, 1, TaskState.RUNNING, 0)])
        assert await state_of(store, task_id) is TaskState.SUCCESS

    async def test_where_a_task_runs_is_known_while_it_runs(self, store: Store) -> None:
        call = a_call()
        await store.submit(a_submission(call))
        times = TaskTimes(1, 2, 3, 0, "n1:ab", 4)

        async def known() -> TaskTimes:
            return (await store.tasks(ALICE.user_id, [call.task_id]))[call.task_id].times

        await store.transition(ENDPOINT, [Transition(call.task_id, 1, TaskState.WAITING_FOR_NODES, 1)])
        assert await known() == TaskTimes(interchange=1)
        await store.transition(ENDPOINT, [Transition(call.task_id, 1, TaskState.RUNNING, 3, times)])
        assert await known() == times
        await store.begin_attempts([Lease(call.task_id, 2)])  # Its worker was lost.
        assert await known() == TaskTimes()

    async def test_cancelling_is_remembered_until_the_task_ends(self, store: Store) -> None:
        mine, ended, foreign = calls(3)
        await store.submit(a_submission(mine, ended))
        await store.submit(a_submission(foreign, owner=BOB))
        await store.complete(ENDPOINT, [a_result(ended.task_id)])
        ids = [mine.task_id, ended.task_id, foreign.task_id, new_task_id()]
        assert await store.request_cancel(ALICE.user_id, ids) == [OpenTask(mine.task_id, ENDPOINT)]
        assert await store.request_cancel(ALICE.user_id, ids) == [OpenTask(mine.task_id, ENDPOINT)]
        await store.transition(ENDPOINT, [Transition(mine.task_id, 1, TaskState.RUNNING, 0)])
        await store.begin_attempts([Lease(mine.task_id, 2)])
        assert await state_of(store, mine.task_id) is TaskState.CANCELLING
        offers = await store.offers([mine.task_id, foreign.task_id])
        assert [offer.cancelling for offer in offers] == [True, False]
        await store.complete(ENDPOINT, [TaskResult(mine.task_id, 2, TaskState.CANCELLED)])
        assert await state_of(store, mine.task_id) is TaskState.CANCELLED

    # --- events ------------------------------------------------------------------------------------------------

    async def test_events_are_read_in_order_after_a_number(self, store: Store) -> None:
        call = a_call()
        await store.submit(a_submission(call))
        log = [
            TaskEvent(call.task_id, event_seq(attempt, number), EventKind.STDOUT, NOW, b"%d" % number)
            for attempt in (1, 2)
            for number in (1, 2, 3)
        ]
        await store.append_events(ENDPOINT, log[3:])
        await store.append_events(ENDPOINT, log)  # again, and the ones before
        assert await store.events(call.task_id, after=0, at_most=100) == log
        assert await store.events(call.task_id, after=log[3].seq, at_most=1) == [log[4]]
        assert await store.events(call.task_id, after=log[5].seq, at_most=100) == []

    async def test_events_of_other_endpoints_or_ended_tasks_are_dropped(self, store: Store) -> None:
        call = a_call()
        await store.submit(a_submission(call))
        event = TaskEvent(call.task_id, event_seq(1, 1), EventKind.STDERR, NOW, b"x")
        await store.append_events(OTHER_ENDPOINT, [event])
        await store.complete(ENDPOINT, [a_result(call.task_id)])
        await store.append_events(ENDPOINT, [event])
        assert await store.events(call.task_id, after=0, at_most=100) == []

    async def test_a_log_is_bounded_and_keeps_its_end(self, store: Store) -> None:
        call = a_call()
        await store.submit(a_submission(call))
        log = [TaskEvent(call.task_id, number, EventKind.STDOUT, NOW, b"x" * 1024) for number in range(1, 7001)]
        await store.append_events(ENDPOINT, log)
        kept = await store.events(call.task_id, after=0, at_most=10_000)
        assert 1000 <= len(kept) <= 5000
        assert kept[-1].seq == 7000
        assert sum(len(event.body) for event in kept) <= 4 * 1024 * 1024

    # --- the whole ---------------------------------------------------------------------------------------------

    async def test_writes_take_effect_in_the_order_of_the_calls(self, store: Store) -> None:
        many = [calls(3) for _ in range(30)]
        work = []
        for group in many:
            work.append(asyncio.ensure_future(store.submit(a_submission(*group))))
            work.append(asyncio.ensure_future(store.complete(ENDPOINT, [a_result(call.task_id) for call in group])))
        await asyncio.gather(*work)
        assert await store.open_tasks(ENDPOINT, at_most=10) == []

    async def test_one_faulty_operation_does_not_harm_its_neighbours(self, store: Store) -> None:
        known = a_function()
        await store.add_function(known)
        call = a_call()
        outcomes = await asyncio.gather(
            store.submit(a_submission(call)),
            store.add_function(a_function(b"other", function_id=known.function.function_id)),
            store.submit(a_submission(*calls(2))),
            return_exceptions=True,
        )
        assert isinstance(outcomes[1], Conflict)
        assert len(await store.open_tasks(ENDPOINT, at_most=10)) == 3

    async def test_everything_is_there_after_a_restart(self, store: Store, reopen) -> None:
        await store.save_endpoint(an_endpoint())
        open_one, ended, large = a_call(), a_call(), a_call(LARGE)
        await store.submit(a_submission(open_one, ended, large))
        await store.complete(ENDPOINT, [a_result(ended.task_id)])
        again = await reopen(store)
        assert await again.endpoint(EndpointId(ENDPOINT)) is not None
        assert await again.open_tasks(ENDPOINT, at_most=10) == [open_one.task_id, large.task_id]
        assert await state_of(again, ended.task_id) is TaskState.SUCCESS
        new = a_call()
        await again.submit(a_submission(new))
        assert await again.open_tasks(ENDPOINT, at_most=10) == [open_one.task_id, large.task_id, new.task_id]
        await again.complete(ENDPOINT, [a_result(large.task_id, LARGE)])
        assert (await again.tasks(ALICE.user_id, [large.task_id]))[large.task_id].value == LARGE
