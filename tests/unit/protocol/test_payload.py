"""The outer forms of payloads, and the text form that published clients read."""

from __future__ import annotations

import base64
import contextlib
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from funcx_core.errors import RemoteProtocolError
from funcx_core.protocol.payload import (
    CALL,
    CALLS,
    LENGTH_BYTES,
    VALUE,
    as_text,
    content_size,
    pack_buffers,
    split_call,
)


def a_call(arguments: bytes, keywords: bytes) -> bytes:
    return CALL + len(arguments).to_bytes(LENGTH_BYTES, "big") + arguments + keywords


def unpack(packed: str) -> list[str]:
    buffers = []
    while packed:
        length, _, rest = packed.partition("\n")
        buffers.append(rest[: int(length)])
        packed = rest[int(length) :]
    return buffers


def unpickle_buffer(buffer: str) -> object:
    assert buffer.startswith("00\n")
    return pickle.loads(base64.b64decode(buffer[3:]))


@given(st.lists(st.text()))
def test_packed_buffers_can_be_unpacked(buffers: list[str]) -> None:
    assert unpack(pack_buffers(buffers)) == buffers


@given(st.binary(), st.binary())
def test_a_call_splits_into_its_two_pickles(arguments: bytes, keywords: bytes) -> None:
    assert split_call(a_call(arguments, keywords)) == (arguments, keywords)


@pytest.mark.parametrize("payload", [b"", CALL, CALL + b"\0\0\0\x09short", VALUE + b"x", b"00\ntext"])
def test_what_is_no_call_does_not_split(payload: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        split_call(payload)


def test_a_value_as_text_is_what_published_clients_unpickle() -> None:
    value = {"numbers": list(range(100)), "text": "é"}
    assert unpickle_buffer(as_text(VALUE + pickle.dumps(value))) == value


def test_a_call_as_text_is_two_packed_buffers() -> None:
    arguments, keywords = unpack(as_text(a_call(pickle.dumps((1, "two")), pickle.dumps({"three": 3}))))
    assert unpickle_buffer(arguments) == (1, "two")
    assert unpickle_buffer(keywords) == {"three": 3}


@given(st.text().filter(lambda text: text.encode(errors="ignore")[:3] not in (VALUE, CALL, CALLS)))
def test_text_stays_as_it_is(text: str) -> None:
    assert as_text(text.encode()) == text


def test_many_calls_have_no_text_form() -> None:
    with pytest.raises(RemoteProtocolError, match="no text form"):
        as_text(CALLS + b"whatever")


@given(st.binary())
def test_any_bytes_have_a_text_form_or_are_a_protocol_error(payload: bytes) -> None:
    with contextlib.suppress(RemoteProtocolError):
        as_text(payload)


@pytest.mark.parametrize("size", [0, 1, 2, 3, 1000, 100_001])
def test_the_size_of_a_text_is_that_of_what_it_holds(size: int) -> None:
    pickled = pickle.dumps(b"x" * size)
    keywords = pickle.dumps({})
    call = CALL + len(pickled).to_bytes(4, "big") + pickled + keywords
    assert content_size(as_text(call).encode()) == len(pickled) + len(keywords)
    assert content_size(call) == len(call)


@pytest.mark.parametrize("text", ["not packed", "5\n00", "99999999999999999999999\nx", "-2\n"])
def test_what_is_not_base64_counts_as_it_is(text: str) -> None:
    found = content_size(text.encode())
    assert found == len(text.encode())


def test_lengths_count_characters_and_sizes_count_bytes() -> None:
    assert content_size(pack_buffers(["st\nf:é", "00\nAAAA"]).encode()) == len("st\nf:é".encode()) + 3
