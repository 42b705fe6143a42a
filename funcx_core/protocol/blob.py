r"""Large values: a payload that is too long to travel with its task is a blob of the service, and a reference goes instead.

A reference is ASCII, ``rb\\n<blob id>:<size>:<SHA-256 in hex>``, so it is a payload of the stream and a text of the HTTP API alike,
and whoever passes it on can see which blob it names without opening anything. The blob holds a payload of another form,
byte for byte.

Blobs are uploaded and downloaded over HTTP in chunks. `CreateBlob` makes one under an id of the client's, so that repeating it is
harmless; chunks are numbered from 0 and all have `BlobState.chunk_bytes`, except for the last. After a broken connection, or
another process' end, `BlobState.received` says where to go on.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from funcx_core.errors import RemoteProtocolError
from funcx_core.ids import BlobId, TaskId
from funcx_core.protocol.payload import REFERENCE

CHUNK_CHECKSUM_HEADER: Final = "X-Chunk-SHA256"
"""Request header with the SHA-256 of a chunk in hex."""

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
        return REFERENCE + f"{self.blob_id}:{self.size}:{self.sha256}".encode()


def is_reference(payload: bytes) -> bool:
    """Whether the payload stands for a blob."""
    return payload.startswith(REFERENCE)


def read_reference(payload: bytes) -> BlobReference:
    """Return the reference in a payload.

    Raises:
        RemoteProtocolError: it holds none.
    """
    try:
        blob_id, size, sha256 = payload.removeprefix(REFERENCE).decode("ascii").split(":")
        reference = BlobReference(BlobId(blob_id), int(size), sha256)
    except ValueError:
        raise RemoteProtocolError("The reference to a large value is malformed.") from None
    if (
        not payload.startswith(REFERENCE)
        or len(blob_id) != _ID_LENGTH
        or not set(blob_id) <= _HEX | {"-"}
        or not is_sha256(sha256)
        or reference.size < 1
    ):
        raise RemoteProtocolError("The reference to a large value is malformed.")
    return reference


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
