from __future__ import annotations

import pickle

import pytest

from funcx_core.serialize import bytesform
from funcx_core.serialize.bytesform import dumps
from funcx_core.serialize.plain import MOST, is_plain


class Local:
    pass


LARGE = b"\x93" + b"x" * 100_000


@pytest.mark.parametrize(
    "value", [LARGE, "text", 1, ((LARGE,), {"k": [1.5, None, {2: (3,)}]}), {1, 2}, frozenset({1}), bytearray(b"x"), []]
)
def test_data_is_plain(value):
    assert is_plain(value)


@pytest.mark.parametrize("value", [Local(), Local, len, [Local()], {"k": Local}, {Local: 1}, [1] * MOST, range(3)])
def test_code_and_what_takes_long_to_look_at_is_not(value):
    assert not is_plain(value)


def test_a_list_within_itself_is_not_looked_at_for_ever():
    circle: list[object] = []
    circle.append(circle)
    assert not is_plain(circle)


def test_an_array_is_plain_if_it_holds_numbers():
    numpy = pytest.importorskip("numpy")
    assert is_plain(numpy.zeros(3))
    assert not is_plain(numpy.array([Local()], dtype=object))


def test_large_data_that_names_a_local_module_stays_a_pickle(monkeypatch):
    monkeypatch.setattr(bytesform, "dumps_by_value", lambda _value: pytest.fail("by value"))
    value = ((LARGE + b"__main__",), {})
    assert pickle.loads(dumps(value)) == value


def test_code_beside_large_data_is_still_found(monkeypatch):
    monkeypatch.setattr(bytesform, "dumps_by_value", lambda _value: b"by value")
    monkeypatch.setattr(bytesform, "_local_names", lambda _count: (__name__.encode(),))
    assert dumps([LARGE, Local()]) == b"by value"
