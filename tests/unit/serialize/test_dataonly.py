"""Plain data is read from strangers as it was written, and nothing of theirs runs."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import datetime as dt
import decimal
import enum
import fractions
import pathlib
import pickle
import time
import uuid
import zoneinfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from funcx_core.errors import DeserializationError, NotPlainData
from funcx_core.serialize import pack_value, unpack_value
from funcx_core.serialize.dataonly import DataReader, read

BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")
SHARED = [1, 2]
VALUES = [
    *(None, True, False, 0, -5, 255, 65535, 2**31 - 1, -(2**40), 2**1000, -(2**1000), 1.5, float("inf"), 1j),
    *("", "ü" * 300, "\ud800", b"", b"x" * 300, bytearray(b"x"), range(3), slice(1, None)),
    *([(), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)], [SHARED, SHARED], {"a": {"b": [1]}}, {(1, "a"): 2}),
    *(set(), {1, 2}, frozenset([1, (1, 2)]), list(range(3000)), dict.fromkeys(range(3000))),
    *(collections.OrderedDict(a=1), collections.Counter("aab"), collections.deque([1], 4)),
    *(collections.defaultdict(list, a=[1]), collections.defaultdict(None, a=1)),
    *(decimal.Decimal("1.50"), fractions.Fraction(1, 3), uuid.UUID(int=7), pathlib.Path("/a/b"), BERLIN),
    *(dt.date(2020, 1, 2), dt.timedelta(1, 2, 3), dt.time(1, 2, tzinfo=dt.UTC), dt.timezone(dt.timedelta(0, 60), "x")),
    *(dt.datetime(2020, 1, 2, 3, 4, 5, 6, dt.UTC), dt.datetime(2020, 7, 1, tzinfo=BERLIN, fold=1)),
    *(np.arange(3.0), np.array(3), np.array([[1, 2], [3, 4]]).T, np.arange(9)[::2], np.zeros((0, 3)), np.array([True])),
    *(np.array([("a", 1)], [("x", "U3"), ("y", ">i4")]), np.array([(1, [1, 2])], [("a", "i1"), ("b", "f4", (2,))])),
    *(np.array([1, "a", None], object), np.array([[1], [2]], object), np.array(["2020"], "M8[D]"), np.dtype(">f4")),
    *(np.float64(1), np.str_("x"), np.datetime64("2020-01-01", "25s"), np.timedelta64(3, "ns"), np.dtype(("i4", (2,)))),
]


@pytest.mark.parametrize("protocol", [3, 4, 5])
@pytest.mark.parametrize("value", VALUES, ids=lambda value: repr(value)[:40])
def test_plain_values_arrive_as_they_were(value, protocol):
    pickled = pickle.dumps(value, protocol)
    found, expected = read(pickled), pickle.loads(pickled)  # protocol 3 loses the fold of a time
    assert (type(found), repr(found)) == (type(expected), repr(expected))
    if isinstance(value, np.ndarray):
        assert (found.dtype, found.flags.writeable) == (value.dtype, True)


def test_parts_that_are_shared_stay_shared():
    array = np.array([1, 2], object)
    first, second, *arrays = read(pickle.dumps([SHARED, SHARED, array, array]))
    assert first is second
    assert arrays[0] is arrays[1]
    loop: list = []
    loop.append(loop)
    found = read(pickle.dumps(loop))
    assert found[0] is found


def test_pickles_one_after_the_other_share_their_parts():
    import io

    stream = io.BytesIO()
    pickler = pickle.Pickler(stream, 5)
    for value in ("first", SHARED, [SHARED, "first"]):
        pickler.dump(value)
    reader = DataReader(stream.getvalue())
    assert [reader.load() for _ in range(3)] == ["first", SHARED, [SHARED, "first"]]


@dataclasses.dataclass
class Particle:
    mass: float = 1.0


class Colour(enum.Enum):
    RED = 1


class Runs:
    def __init__(self, action, *args):
        self.reduced = action, args

    def __reduce__(self):
        return self.reduced


REFUSED = [
    Particle(),
    Colour.RED,
    ValueError(1),
    len,
    int,
    Runs(eval, "1"),
    Runs(getattr, dt.datetime, "now"),
    Runs(getattr, zoneinfo.ZoneInfo, "from_file"),
    Runs(fractions.Fraction, "1e999999999"),
    Runs(fractions.Fraction, 1, 0),
    Runs(bytearray, 10**12),
    Runs(collections.defaultdict, print),
    Runs(collections.OrderedDict, [(1, 2)]),
    Runs(dt.datetime, 1, 1, 1),
    Runs(zoneinfo.ZoneInfo, "../../../etc/passwd"),
    Runs(np.dtype, [("a", "O")]),
    np.array([Particle()], object),
    np.ma.array([1]),
    np.rec.array([(1,)]),
    [dt.datetime],
    {"a": (1, dt.datetime)},
]


@pytest.mark.parametrize("value", REFUSED, ids=lambda value: repr(getattr(value, "reduced", value))[:40])
@pytest.mark.parametrize("protocol", [3, 5])
def test_whatever_is_more_than_data_is_refused(value, protocol):
    with pytest.raises(NotPlainData):
        read(pickle.dumps(value, protocol))


def test_a_name_is_told_when_it_is_refused():
    with pytest.raises(NotPlainData, match=r"here is posix\.system\."):
        read(pickle.dumps(Runs(__import__("os").system, "true")))


def test_nothing_of_a_stranger_runs(tmp_path):
    canary = tmp_path / "canary"
    payload = b"pb\n" + pickle.dumps([1, Runs(__import__("os").system, f"touch {canary}")])
    with pytest.raises(NotPlainData):
        unpack_value(payload, data_only=True)
    assert not canary.exists()
    unpack_value(payload)
    assert canary.exists()  # so it is a canary


def forged(state, kind=b"O8"):
    """A pickle of an array whose element type has a state of our choice."""
    return (
        b"\x80\x05cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R"
        b"(K\x01K\x01\x85cnumpy\ndtype\n\x8c\x02" + kind + b"\x89\x88\x87R" + state + b"b\x89C\x08AAAAAAAAtb."
    )


def test_bytes_are_never_taken_for_addresses():
    # numpy believes such a state: an object array whose "objects" are bytes of the stranger's choice.
    no_flags = b"(K\x03\x8c\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00t"
    with pytest.raises(NotPlainData, match="of objects"):
        read(forged(no_flags))
    assert read(forged(no_flags, b"i8")) == np.array([0x4141414141414141])
    with pytest.raises(NotPlainData, match="do not fit"):
        read(forged(no_flags, b"i4"))


HUGE = [
    b"\x80\x05Nr\xff\xff\xff\x7f.",
    b"\x80\x05\x8e\xff\xff\xff\xff\xff\xff\xff\x7f.",
    b"\x80\x05\x96\xff\xff\xff\xff\xff\xff\xff\x7f.",
    b"\x80\x05\x8b\xff\xff\xff\x7f.",
]


@pytest.mark.parametrize("content", HUGE)
def test_a_number_reserves_no_memory(content):
    import tracemalloc

    tracemalloc.start()
    try:
        assert read(content) is None
    except NotPlainData:
        pass
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 1_000_000


def test_a_key_that_takes_forever_to_hash_is_refused():
    doubled = b"".join(b"0h%ch%c\x86q%c" % (index, index, index + 1) for index in range(60))
    bomb = b"\x80\x05}K\x01q\x00" + doubled  # 2 to the power of 60 parts, in 400 bytes
    start = time.monotonic()
    with pytest.raises(NotPlainData, match="parts"):
        read(bomb + b"Ns.")
    assert time.monotonic() - start < 5


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary() | st.datetimes(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner) | st.tuples(inner, inner),
    max_leaves=10,
)


@given(plain)
def test_what_a_worker_packs_is_read(value):
    assert unpack_value(pack_value(value), data_only=True) == value


@given(st.binary(max_size=200))
def test_garbage_is_refused_and_nothing_else_happens(content):
    for start in (b"", b"\x80\x05"):
        with contextlib.suppress(NotPlainData):
            read(start + content)


@settings(max_examples=300)
@given(st.sampled_from(VALUES), st.data())
def test_damaged_pickles_are_refused_or_give_data(value, data):
    content = bytearray(pickle.dumps(value, 5)[:2000])
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(DeserializationError):
        read(bytes(content))
