"""Blocks whose managers the interchange cannot work with."""

from __future__ import annotations

from funcx_core.ids import BlockId, ManagerId
from funcx_endpoint.blocks.records import BlockPolicy
from funcx_endpoint.blocks.state import Blocks, Cancel

ZERO = BlockId("0")


def started() -> Blocks:
    blocks = Blocks(BlockPolicy(init=1, most=1))
    blocks.tick(now=0.0)
    blocks.submitted(ZERO)
    return blocks


def test_a_block_of_refused_managers_has_failed_and_ends() -> None:
    blocks = started()
    assert blocks.manager_refused(ZERO, "Python 9.9", now=1.0) == [Cancel(ZERO)]
    assert blocks.reason == "Python 9.9"
    assert blocks.manager_refused(ZERO, "Python 9.9", now=1.0) == [], "it has failed once"


def test_a_block_with_another_manager_goes_on() -> None:
    blocks = started()
    blocks.manager_joined(ZERO, ManagerId("m"))
    assert blocks.manager_refused(ZERO, "Python 9.9", now=1.0) == []
    assert blocks.reason == ""
