"""References to large values."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from funcx_core.errors import RemoteProtocolError
from funcx_core.ids import new_blob_id
from funcx_core.protocol.blob import (
    MOST_BLOBS,
    BlobReference,
    is_reference,
    names_blobs,
    read_reference,
    references_of,
    with_blobs,
    without_blobs,
)
from funcx_core.protocol.features import LARGE_ARGUMENTS, STAGED_INPUTS, STAGED_RANGES, feature_needed
from funcx_core.protocol.payload import CALLS, as_text, content_size
from funcx_core.protocol.ranges import a_range

HASH = "0123456789abcdef" * 4
BLOB = "00000000-0000-4000-8000-00000000b10b"


def test_a_reference_comes_back_and_is_a_text_too() -> None:
    reference = BlobReference(new_blob_id(), 64_000_000, HASH)
    payload = reference.to_payload()
    assert is_reference(payload)
    assert read_reference(payload) == reference
    assert as_text(payload).encode() == payload


@pytest.mark.parametrize(
    "damaged",
    [
        b"rb\n",
        b"pb\nvalue",
        f"rb\n{BLOB}:0:{HASH}".encode(),
        f"rb\n{BLOB}:x:{HASH}".encode(),
        f"rb\n{BLOB}:5:{HASH[1:]}".encode(),
        f"rb\n{BLOB}:5:{HASH.upper()}".encode(),
        f"rb\n../../../../../../../../../../etc/passwd:5:{HASH}".encode(),
        f"rb\n{BLOB}:5:{HASH}:more".encode(),
    ],
)
def test_a_damaged_reference_is_refused(damaged: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        read_reference(damaged)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_reference_or_refused(content: bytes) -> None:
    try:
        found = read_reference(b"rb\n" + content)
    except RemoteProtocolError:
        return
    assert read_reference(found.to_payload()) == found


def references(number: int) -> list[BlobReference]:
    return [BlobReference(new_blob_id(), size + 1, HASH) for size in range(number)]


def test_blobs_beside_a_payload_come_off_again() -> None:
    beside = references(3)
    payload = with_blobs(b"cb\nrest", beside)
    assert names_blobs(payload)
    assert not is_reference(payload)
    assert without_blobs(payload) == (b"cb\nrest", beside)
    assert references_of(payload) == beside
    assert content_size(payload) == len(payload)
    with pytest.raises(RemoteProtocolError, match="no text form"):
        as_text(payload)


def test_a_payload_without_blobs_stays_as_it_is() -> None:
    assert with_blobs(b"cb\nrest", []) == b"cb\nrest"
    assert without_blobs(b"cb\nrest") == (b"cb\nrest", [])
    assert references_of(b"cb\nrest") == []
    assert not names_blobs(b"cb\nrest")


@pytest.mark.parametrize(
    "damaged",
    [
        b"wb\n",
        with_blobs(b"cb\nrest", references(MOST_BLOBS + 1)),
        with_blobs(b"cb\nrest", references(1))[:50],
        with_blobs(references(1)[0].to_payload(), references(1)),
        with_blobs(with_blobs(b"cb\nrest", references(1)), references(1)),
        b"wb\n\xff\xff\xff\xff" + HASH.encode(),
    ],
    ids=["empty", "too many", "cut off", "beside a blob", "twice", "too long"],
)
def test_damaged_blobs_beside_a_payload_are_refused(damaged: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        references_of(damaged)


@given(st.binary(max_size=200))
def test_any_bytes_are_blobs_beside_a_payload_or_refused(content: bytes) -> None:
    try:
        payload, found = without_blobs(b"wb\n" + content)
    except RemoteProtocolError:
        return
    assert without_blobs(with_blobs(payload, found)) == (payload, found)


def test_what_names_blobs_needs_an_endpoint_that_understands_it() -> None:
    beside = references(1)
    assert feature_needed(beside[0].to_payload()) == LARGE_ARGUMENTS
    assert feature_needed(with_blobs(b"cb\nrest", beside)) == STAGED_INPUTS
    assert feature_needed(with_blobs(a_range(CALLS), beside)) == STAGED_RANGES
    assert feature_needed(b"wb\nnonsense") == STAGED_INPUTS
