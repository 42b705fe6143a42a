"""Whatever bytes come, every decoder returns what they hold or raises `DeserializationError`, and soon."""

from __future__ import annotations

import contextlib
import pickle
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from funcx_core.errors import DeserializationError
from funcx_core.serialize import (
    FuncXSerializer,
    pack_call,
    pack_calls,
    pack_value,
    unpack_call,
    unpack_calls,
    unpack_function,
    unpack_value,
)
from funcx_core.serialize.methods import decode, encode_data, split_buffers, to_base64

IDENTIFIERS = ["00", "01", "02", "03", "04", "10", "11", "12", "13", "st", "sd", "99", "0", ""]
# Without `r` (LONG_BINPUT), for which CPython's pickle reserves as much memory as it says, and without what runs code.
HARMLESS = st.binary(max_size=60).map(lambda content: content.translate(None, b"rRcio\x81\x92\x93"))
bodies = (
    st.text(max_size=80)
    | HARMLESS.map(to_base64)
    | st.sampled_from(
        ["1\n", ":", "f:def f(", "04\n::01\n:", "5\n00\n!!", "[" * 5000, "-", "gA", "1" * 5000, "9" * 19 + "\n"]
    )
)
buffers = st.builds(lambda identifier, body: f"{identifier}\n{body}", st.sampled_from(IDENTIFIERS), bodies)
nested = st.recursive(
    buffers,
    lambda inner: st.builds(
        lambda identifier, parts: f"{identifier}\n" + FuncXSerializer().pack_buffers(parts),
        st.sampled_from(["10", "12", "13"]),
        st.lists(inner, max_size=3),
    ),
    max_leaves=6,
)
DECODERS = [
    unpack_value,
    unpack_call,
    unpack_calls,
    unpack_function,
    lambda payload: unpack_value(payload, data_only=True),
]


@given(nested)
def test_garbage_in_a_labelled_buffer_is_refused(buffer):
    for data_only in (False, True):
        with contextlib.suppress(DeserializationError):
            decode(buffer, data_only=data_only)


@given(st.lists(nested, max_size=3), st.integers(0, 50), st.integers(0, 9))
def test_garbage_in_packed_buffers_is_refused(parts, cut, longer):
    packed = FuncXSerializer().pack_buffers(parts)
    payload = (str(longer) * (cut % 2) + packed[cut:]).encode()
    for decoder in DECODERS:
        with contextlib.suppress(DeserializationError):
            decoder(payload)


@given(st.sampled_from([b"pb\n", b"cb\n", b"mb\n", b""]), HARMLESS)
def test_garbage_in_binary_payloads_is_refused(label, content):
    for decoder in DECODERS:
        with contextlib.suppress(DeserializationError):
            decoder(label + content)


@pytest.mark.parametrize(
    ("unpack", "payload"),
    [
        (unpack_value, pack_value({"a": [1, 2.5, "text", None] * 20})),
        (unpack_value, encode_data(list(range(50))).encode()),
        (unpack_call, pack_call((1, "text"), {"k": [1.5]})),
        (unpack_calls, pack_calls([(1,), (2,)])),
    ],
)
def test_a_payload_that_is_cut_off_anywhere_is_refused(unpack, payload):
    whole = unpack(payload)
    for end in range(len(payload) - 2):
        try:
            assert unpack(payload[:end]) == whole  # base64 may lose its padding
        except DeserializationError:
            continue


@pytest.mark.parametrize("content", [(1, {}), "text", {"a": 1}, [1]])
def test_what_is_no_call_is_refused(content):
    pickled = pickle.dumps(content)
    with pytest.raises(DeserializationError):
        unpack_call(b"cb\n" + len(pickled).to_bytes(4, "big") + pickled + pickled)


def test_buffers_within_buffers_end_somewhere():
    buffer = "11\n1"
    for _ in range(200):
        buffer = f"13\n{len(buffer)}\n{buffer}"
    start = time.monotonic()
    with pytest.raises(DeserializationError, match="None of the 1 forms"):
        decode(buffer)
    assert time.monotonic() - start < 5


def test_many_small_buffers_are_split_in_a_time_that_grows_with_them():
    start = time.monotonic()
    assert len(split_buffers("1\nx" * 200_000)) == 200_000
    assert time.monotonic() - start < 5


def test_what_is_missing_here_is_named_with_its_cause():
    with pytest.raises(DeserializationError, match="ModuleNotFoundError: No module named 'nowhere'") as raised:
        unpack_value(b"pb\n\x80\x05cnowhere\nGone\n.")
    assert isinstance(raised.value.__cause__, ModuleNotFoundError)
