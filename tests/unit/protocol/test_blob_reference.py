"""References to large values."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from funcx_core.errors import RemoteProtocolError
from funcx_core.ids import new_blob_id
from funcx_core.protocol.blob import BlobReference, is_reference, read_reference
from funcx_core.protocol.payload import as_text

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
