"""Blocks of one kind that keep failing, beside others that work."""

from __future__ import annotations

from funcx_core.ids import ManagerId
from funcx_endpoint.blocks.failures import FAILURES_ALLOWED
from funcx_endpoint.blocks.records import ANY_KIND, BlockPolicy, Load, Submit
from funcx_endpoint.blocks.state import Blocks

BROKEN, GOOD = "container-1", "container-2"


def following(blocks: Blocks, kinds: dict[str, int], now: float) -> list[Submit]:
    effects = blocks.follow(Load(sum(kinds.values()), frozenset(), kinds), now=now, by_kind=True)
    return [effect for effect in effects if isinstance(effect, Submit)]


def let_fail(blocks: Blocks, kind: str, kinds: dict[str, int]) -> float:
    """Let blocks of one kind fail until that is too often; return the time."""
    now, failed = 0.0, 0
    while failed < FAILURES_ALLOWED:
        for submit in following(blocks, kinds, now):
            if submit.kind == kind:
                blocks.failed(submit.block_id, f"{kind} cannot be pulled", now=now)
                failed += 1
            else:
                blocks.submitted(submit.block_id)
                blocks.manager_joined(submit.block_id, ManagerId(f"m{submit.block_id}"))
        now += 10.0
    return now


def test_a_container_that_cannot_start_is_no_reason_to_call_the_endpoint_unhealthy() -> None:
    blocks = Blocks(BlockPolicy(init=0, most=4))
    kinds = {BROKEN: 1, GOOD: 1}
    now = let_fail(blocks, BROKEN, kinds)
    assert not blocks.is_unhealthy
    assert blocks.failing_kinds == {BROKEN: "container-1 cannot be pulled"}
    kinds = {BROKEN: 1, GOOD: 3}
    assert {submit.kind for submit in following(blocks, kinds, now)} == {GOOD}, "the others go on"


def test_it_does_not_keep_the_room_that_others_need() -> None:
    blocks = Blocks(BlockPolicy(init=0, most=1))
    now = let_fail(blocks, BROKEN, {BROKEN: 1})
    (submit,) = following(blocks, {BROKEN: 1, GOOD: 1}, now)
    assert submit.kind == GOOD
    assert list(blocks.failing_kinds) == [BROKEN]
    following(blocks, {GOOD: 1}, now)
    assert blocks.failing_kinds == {}, "nobody waits for it any more"


def test_it_is_forgotten_with_its_next_block_that_works() -> None:
    blocks = Blocks(BlockPolicy(init=0, most=4))
    now = let_fail(blocks, BROKEN, {BROKEN: 1})
    (again,) = following(blocks, {BROKEN: 1}, now + 60.0)
    blocks.manager_joined(again.block_id, ManagerId("m"))
    assert blocks.failing_kinds == {}


def test_where_no_block_for_any_task_starts_the_endpoint_is_unhealthy() -> None:
    blocks = Blocks(BlockPolicy(init=0, most=4))
    let_fail(blocks, BROKEN, {BROKEN: 1})
    let_fail(blocks, ANY_KIND, {BROKEN: 1, ANY_KIND: 1})
    assert blocks.is_unhealthy
    assert blocks.reason == f"{ANY_KIND} cannot be pulled"
    assert list(blocks.failing_kinds) == [BROKEN]
