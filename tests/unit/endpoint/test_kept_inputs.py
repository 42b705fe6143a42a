"""Which inputs of cells stay on an endpoint's disk."""

from __future__ import annotations

from funcx_endpoint.interchange.kept_inputs import KEPT_SECONDS, KeptInputs


def test_what_was_used_longest_ago_goes_first() -> None:
    kept = KeptInputs(10)
    for name, at in (("a", 1), ("b", 2), ("c", 3)):
        kept.used(name, 4, at)
    kept.used("a", 4, 4)
    assert kept.to_remove((), now=5) == ["b"]
    assert kept.to_remove((), now=5) == []
    assert kept.size == 8


def test_what_an_open_task_uses_stays_whatever_it_has() -> None:
    kept = KeptInputs(10)
    kept.used("large", 100, 1)
    kept.used("small", 1, 2)
    assert kept.to_remove({"large"}, now=3) == ["small"]
    assert kept.to_remove((), now=3) == ["large"]


def test_what_nobody_has_used_for_a_week_goes() -> None:
    kept = KeptInputs(10)
    kept.used("old", 1, 1)
    kept.used("new", 1, 2)
    assert kept.to_remove((), now=1 + KEPT_SECONDS) == ["old"]


def test_without_room_inputs_go_with_their_tasks() -> None:
    kept = KeptInputs(0)
    kept.used("a", 1, 1)
    assert kept.to_remove({"a"}, now=2) == []
    assert kept.to_remove((), now=2) == ["a"]
