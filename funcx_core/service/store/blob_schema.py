"""The tables of the catalog, beside those of tasks."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from funcx_core.service.store.schema import metadata

blobs: Final = sa.Table(
    "blobs",
    metadata,
    sa.Column("blob_id", sa.Text, primary_key=True),
    sa.Column("owner_id", sa.Text, nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("object_key", sa.Text, nullable=False, index=True),
    sa.Column("chunk_bytes", sa.Integer, nullable=False),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("touched_at", sa.Float, nullable=False),
    sa.Column("sha256", sa.Text),
    sa.Column("upload", sa.Text, nullable=False),
    sa.Column("stage", sa.Text, nullable=False),
)
sa.Index("blobs_by_content", blobs.c.owner_id, blobs.c.sha256)

chunks: Final = sa.Table(
    "blob_chunks",
    metadata,
    sa.Column("blob_id", sa.Text, primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("tag", sa.Text, nullable=False),
    sqlite_with_rowid=False,
)

# `task_id`: of the task that uses it; or of the map that keeps it, as long as some of its calls may be run again.
uses: Final = sa.Table(
    "blob_uses",
    metadata,
    sa.Column("blob_id", sa.Text, primary_key=True),
    sa.Column("task_id", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("created_at", sa.Float, nullable=False),
    sqlite_with_rowid=False,
)
sa.Index("blob_uses_by_task", uses.c.task_id)
