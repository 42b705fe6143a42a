r"""Large values: a payload that is too long to travel with its task is a blob of the service, and a reference goes instead.

A reference is ASCII, ``rb\\n<blob id>:<size>:<SHA-256 in hex>``, so it is a payload of the stream and a text of the HTTP API alike,
and whoever passes it on can see which blob it names without opening anything. The blob holds a payload of another form,
byte for byte.

A payload may also have blobs beside it: ``wb\\n``, the 4-byte big-endian length of a list of references ``<blob id>:<size>:<SHA-256>``,
separated by commas, that list, and then a payload of another form. So parts of arguments that do not change from task to task are sent
once. What the blobs hold is known to the function alone, which asks for them by their SHA-256.

Blobs are uploaded and downloaded over HTTP in chunks. `CreateBlob` makes one under an id of the client's, so that repeating it is
harmless; chunks are numbered from 0 and all have `BlobState.chunk_bytes`, except for the last. After a broken connection, or
another process' end, `BlobState.received` says where to go on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

import msgspec

from funcx_core.errors import RemoteProtocolError
from funcx_core.ids import BlobId, TaskId
from funcx_core.protocol.payload import LENGTH_BYTES, REFERENCE, WITH_BLOBS

CHUNK_CHECKSUM_HEADER: Final = "X-Chunk-SHA256"
"""Request header with the SHA-256 of a chunk in hex."""

MOST_BLOBS: Final = 256
"""References beside one payload, at most."""

BlobKind = Literal["argument", "result"]

_HASH_LENGTH: Final = 64
_ID_LENGTH: Final = 36
_HEX: Final = frozenset("0123456789abcdef")


class BlobReference(msgspec.Struct, frozen=True):
    """Names a blob and what it must be. `sha256` is in hex, of all its bytes."""

    blob_id: BlobId
    size: int
    sha256: str

    def to_payload(self) -> bytes:
        """Return the payload that stands for the blob."""
        return REFERENCE + self._as_text().encode()

    def _as_text(self) -> str:
        return f"{self.blob_id}:{self.size}:{self.sha256}"


def is_reference(payload: bytes) -> bool:
    """Whether the payload stands for a blob."""
    return payload.startswith(REFERENCE)


def names_blobs(payload: bytes) -> bool:
    """Whether the payload stands for a blob, or has blobs beside it."""
    return payload.startswith((REFERENCE, WITH_BLOBS))


def read_reference(payload: bytes) -> BlobReference:
    """Return the reference in a payload.

    Raises:
        RemoteProtocolError: it holds none.
    """
    if not payload.startswith(REFERENCE):
        raise _malformed()
    return _read(payload.removeprefix(REFERENCE))


def with_blobs(payload: bytes, references: Sequence[BlobReference]) -> bytes:
    """Return the payload with these blobs beside it; as it is if there are none."""
    if not references:
        return payload
    listed = ",".join(reference._as_text() for reference in references).encode()  # noqa: SLF001 - of this module
    return WITH_BLOBS + len(listed).to_bytes(LENGTH_BYTES, "big") + listed + payload


def without_blobs(payload: bytes) -> tuple[bytes, list[BlobReference]]:
    """Return a payload without the blobs beside it, and the references to those.

    Raises:
        RemoteProtocolError: they cannot be read, or there are more than `MOST_BLOBS`.
    """
    if not payload.startswith(WITH_BLOBS):
        return payload, []
    head = len(WITH_BLOBS) + LENGTH_BYTES
    end = head + int.from_bytes(payload[len(WITH_BLOBS) : head], "big")
    listed = payload[head:end].split(b",", MOST_BLOBS)
    if end > len(payload) or len(listed) > MOST_BLOBS or names_blobs(payload[end : end + len(REFERENCE)]):
        raise _malformed()
    return payload[end:], [_read(one) for one in listed]


def references_of(payload: bytes) -> list[BlobReference]:
    """Return all blobs that a payload names.

    Raises:
        RemoteProtocolError: what names them is malformed.
    """
    return [read_reference(payload)] if is_reference(payload) else without_blobs(payload)[1]


def _read(text: bytes) -> BlobReference:
    try:
        blob_id, size, sha256 = text.decode("ascii").split(":")
        reference = BlobReference(BlobId(blob_id), int(size), sha256)
    except ValueError:
        raise _malformed() from None
    is_id = len(blob_id) == _ID_LENGTH and set(blob_id) <= _HEX | {"-"}
    if not is_id or not is_sha256(sha256) or reference.size < 1:
        raise _malformed()
    return reference


def _malformed() -> RemoteProtocolError:
    return RemoteProtocolError("The reference to a large value is malformed.")


def is_sha256(text: str) -> bool:
    """Whether `text` is a SHA-256 in lower-case hex."""
    return len(text) == _HASH_LENGTH and set(text) <= _HEX


class CreateBlob(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of ``POST blobs``.

    Attributes:
        size: bytes.
        blob_id: made by the client; the service makes one if it is None.
        sha256: of the whole, in hex; needed by the end of the upload. If the user has such a blob, nothing is uploaded.
        kind: what it is for.
        task_id: for a result, the task that it is of: the blob then belongs to who submitted that.
    """

    size: int
    blob_id: str | None = None
    sha256: str | None = None
    kind: BlobKind = "argument"
    task_id: TaskId | None = None


class CompleteBlob(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of ``POST blobs/{id}/complete``."""

    sha256: str | None = None


class BlobState(msgspec.Struct, frozen=True, kw_only=True):
    """What the service says of a blob: `received` has the numbers of the chunks that it has, of `chunks`."""

    blob_id: BlobId
    size: int
    sha256: str | None
    kind: str
    complete: bool
    chunk_bytes: int
    chunks: int
    received: list[int]
    created_at: float
