"""Arguments and results: what arrives is what was sent, and what cannot be sent is named."""

from __future__ import annotations

import codecs
import dataclasses
import enum
import pickle
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from funcx_core.errors import DeserializationError, SerializationError
from funcx_core.protocol.payload import as_text, pack_buffers
from funcx_core.serialize import (
    find_culprit,
    is_calls,
    pack_call,
    pack_calls,
    pack_value,
    unpack_call,
    unpack_calls,
    unpack_value,
)

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
    max_leaves=10,
)


@dataclasses.dataclass
class Particle:
    mass: float


class Colour(enum.Enum):
    RED = 1


@given(st.lists(plain), st.dictionaries(st.text(), plain))
def test_a_call_arrives_as_it_was_sent(args, kwargs):
    assert unpack_call(pack_call(tuple(args), kwargs)) == (tuple(args), kwargs)


@given(plain)
def test_a_value_arrives_as_it_was_sent(value):
    assert unpack_value(pack_value(value)) == value


@given(plain)
def test_the_text_form_of_a_payload_gives_the_same(value):
    assert unpack_value(as_text(pack_value(value)).encode()) == value
    assert unpack_call(as_text(pack_call((value,), {"a": value})).encode()) == ((value,), {"a": value})


def test_many_calls_travel_as_one_payload():
    payload = pack_calls([(1, 2), (3, 4)])
    assert is_calls(payload)
    assert not is_calls(pack_call((1,), {}))
    assert unpack_calls(payload) == [(1, 2), (3, 4)]


def test_a_large_value_is_not_damaged():
    value = {"array": bytes(range(256)) * 4096}
    assert unpack_value(pack_value(value)) == value
    assert unpack_call(pack_call((value,), value)) == ((value,), value)


def test_a_published_clients_call_is_read():
    def text(value):
        return "00\n" + codecs.encode(pickle.dumps(value, 4), "base64").decode()

    assert unpack_call(pack_buffers([text((1, "ü")), text({"k": 2})]).encode()) == ((1, "ü"), {"k": 2})


def test_lengths_of_published_buffers_count_characters():
    assert unpack_call(pack_buffers(['11\n["ü∂"]', '11\n{"k": 1}']).encode()) == (("ü∂",), {"k": 1})


@pytest.mark.parametrize(
    "payload", [b"", b"xx\n", b"cb\n\xff\xff\xff\xff", b"\xff\xfe", b"3\n00\n", b"9999\n00\n", b"5\n00\n!!"]
)
def test_bytes_that_are_no_call_are_refused(payload):
    with pytest.raises(DeserializationError):
        unpack_call(payload)


@pytest.mark.parametrize("payload", [b"", b"zz\nabc", b"11\n{", b"00\n\xc3\xa4"])
def test_bytes_that_are_no_value_are_refused(payload):
    with pytest.raises(DeserializationError):
        unpack_value(payload)


def test_an_argument_that_cannot_be_sent_is_named_by_position():
    with (
        sqlite3.connect(":memory:") as connection,
        pytest.raises(SerializationError, match=r"Argument 2 \(sqlite3.Connection\)"),
    ):
        pack_call((1, connection), {})
    connection.close()


def test_an_argument_that_cannot_be_sent_is_named_by_keyword():
    with pytest.raises(SerializationError, match=r"Argument 'lock' \(_thread.lock\) cannot be sent\. Create it inside"):
        pack_call((1,), {"a": 1, "lock": threading.Lock()})


def test_an_argument_of_a_chunk_is_named_too():
    with pytest.raises(SerializationError, match=r"Argument 1 \(.*lock\)"):
        pack_calls([(1,), (threading.Lock(),)])


@pytest.mark.parametrize(
    "make",
    [
        threading.Lock,
        lambda: (n for n in ()),
        sys._getframe,
        Path(__file__).open,
        threading.Thread,
        lambda: (frame for frame in ()),
    ],
)
def test_a_value_that_cannot_be_sent_is_named(make):
    value = make()
    with pytest.raises(SerializationError, match=r"of type .*cannot be sent"):
        pack_value(value)
    getattr(value, "close", lambda: None)()


async def coroutine():
    """Never awaited."""


def test_what_only_lives_in_its_process_says_what_to_return_instead():
    never_awaited = coroutine()
    with pytest.raises(SerializationError, match=r"type coroutine cannot be sent\..*asyncio\.run"):
        pack_value(never_awaited)
    never_awaited.close()
    with pytest.raises(SerializationError, match=r"type generator cannot be sent\..*list\("):
        pack_value(n for n in range(3))


def test_the_part_of_a_value_that_cannot_be_sent_is_found():
    particle = Particle(1.0)
    particle.parts = {"x": [0, threading.Lock()]}
    culprit = find_culprit({"p": particle})
    assert culprit == ("{}['p'].parts['x'][1]", "_thread.lock")
    with pytest.raises(SerializationError, match=r"it is value\['p'\].parts\['x'\]\[1\] \(_thread.lock\)"):
        pack_value({"p": particle})


def test_what_breaks_while_it_is_pickled_is_a_serialization_error():
    class Nasty:
        def __reduce__(self):
            raise ZeroDivisionError

    with pytest.raises(SerializationError):
        pack_value(Nasty())


SCRIPT = """
import dataclasses, enum, sys
from funcx_core.serialize import pack_call, unpack_call
@dataclasses.dataclass
class Particle:
    mass: float
    def double(self): return Particle(self.mass * 2)
class Colour(enum.Enum):
    RED = 1
sys.stdout.buffer.write(pack_call((Particle(2.0), Colour.RED), {}))
"""


def test_objects_of_classes_of_a_script_go_by_value():
    payload = subprocess.run([sys.executable, "-c", SCRIPT], check=True, capture_output=True, timeout=30).stdout
    (particle, colour), _ = unpack_call(payload)
    assert particle.double().mass == 4.0
    assert colour.name == "RED"


def test_objects_of_classes_of_a_local_module_go_by_value():
    payload = pack_value([Particle(2.0), Colour.RED])
    script = "import sys; from funcx_core.serialize import unpack_value; print(unpack_value(sys.stdin.buffer.read()))"
    done = subprocess.run(
        [sys.executable, "-c", script], input=payload, check=True, capture_output=True, timeout=30, cwd="/"
    )
    assert b"mass=2.0" in done.stdout
    assert b"RED" in done.stdout


def test_objects_of_a_local_class_come_back_as_the_same_class():
    payload = pack_value([Particle(2.0), Colour.RED, {"p": Particle(1.0)}])
    script = (
        "import sys; from funcx_core.serialize import pack_value, unpack_value;"
        "value = unpack_value(sys.stdin.buffer.read());"
        "value.append(type(value[0])(5.0)); sys.stdout.buffer.write(pack_value(value))"
    )
    assert b"Particle" in payload
    done = subprocess.run(
        [sys.executable, "-c", script], input=payload, check=True, capture_output=True, timeout=30, cwd="/"
    )
    assert unpack_value(done.stdout) == [Particle(2.0), Colour.RED, {"p": Particle(1.0)}, Particle(5.0)]
    assert unpack_value(done.stdout)[1] is Colour.RED
