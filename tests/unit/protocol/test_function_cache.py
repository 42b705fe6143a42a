"""Sender and receiver of function bodies never disagree about who has what."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from funcx_core.ids import FunctionId
from funcx_core.protocol.functions import FunctionCache, SentFunctions
from funcx_core.protocol.task import Function

CAPACITY = 5
NAMES = st.sampled_from([FunctionId(letter) for letter in "abcdefghijkl"])


def body_of(function_id: FunctionId) -> Function:
    return Function(function_id, function_id, b"body of " + function_id.encode())


@given(st.lists(st.lists(NAMES, min_size=1, max_size=20).filter(lambda ids: len(set(ids)) <= CAPACITY)))
def test_the_receiver_has_every_body_that_a_batch_needs(batches: list[list[FunctionId]]) -> None:
    sent, cache = SentFunctions(CAPACITY), FunctionCache(CAPACITY)
    for function_ids in batches:
        new = sent.to_send(function_ids)
        cache.receive([body_of(function_id) for function_id in new], function_ids)
        assert all(function_id in cache for function_id in function_ids)
        assert list(sent._sent) == list(cache._functions)


def test_a_body_travels_once() -> None:
    sent = SentFunctions()
    a, b = FunctionId("a"), FunctionId("b")
    assert sent.to_send([a, b, a]) == [a, b]
    assert sent.to_send([b, a]) == []


def test_what_was_forgotten_is_sent_again() -> None:
    sent = SentFunctions()
    sent.to_send([FunctionId("a")])
    sent.forget([FunctionId("a"), FunctionId("never sent")])
    assert sent.to_send([FunctionId("a")]) == [FunctionId("a")]


def test_the_least_recently_used_body_is_forgotten() -> None:
    cache = FunctionCache(2)
    cache.add([body_of(FunctionId("a")), body_of(FunctionId("b"))])
    assert cache.get(FunctionId("a")) is not None
    cache.add([body_of(FunctionId("c"))])
    assert [name in cache for name in (FunctionId("a"), FunctionId("b"), FunctionId("c"))] == [True, False, True]
    assert cache.get(FunctionId("b")) is None
    cache.clear()
    assert FunctionId("a") not in cache
