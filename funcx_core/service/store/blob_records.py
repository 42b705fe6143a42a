"""What the catalog knows of a blob."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from funcx_core.ids import BlobId, UserId
from funcx_core.protocol.blob import BlobState


class Stage(StrEnum):
    """Where a blob is in its life. A blob that is gone for its owner stays in the catalog until its bytes are gone, too."""

    RECEIVING = "receiving"
    COMPLETE = "complete"
    GONE = "gone"


class Blob(msgspec.Struct, frozen=True, kw_only=True):
    """One blob. `object_key` names its bytes, which it may share with others of the same owner; times are Unix seconds."""

    blob_id: BlobId
    owner_id: UserId
    size: int
    kind: str
    object_key: str
    chunk_bytes: int
    created_at: float
    touched_at: float
    sha256: str | None = None
    upload: str = ""
    stage: Stage = Stage.RECEIVING

    @property
    def chunks(self) -> int:
        """How many chunks it has."""
        return -(-self.size // self.chunk_bytes)

    def chunk_length(self, number: int) -> int:
        """Return the bytes of chunk `number`, which is one of them."""
        return min(self.chunk_bytes, self.size - number * self.chunk_bytes)

    def state(self, received: list[int]) -> BlobState:
        """Return what its owner is told."""
        complete = self.stage is Stage.COMPLETE
        return BlobState(
            blob_id=self.blob_id,
            size=self.size,
            sha256=self.sha256,
            kind=self.kind,
            complete=complete,
            chunk_bytes=self.chunk_bytes,
            chunks=self.chunks,
            received=list(range(self.chunks)) if complete else received,
            created_at=self.created_at,
        )
