"""Which backend a setting names."""

from __future__ import annotations

from pathlib import Path

from funcx_core.errors import ConfigError
from funcx_core.service.blobs.base import BlobBackend
from funcx_core.service.blobs.files import LARGE, FileBackend
from funcx_core.service.blobs.s3 import S3Backend


def backend_of(url: str, data_dir: Path) -> BlobBackend:
    """Return the backend for a URL: ``s3://…``, ``file:///…``, or the folder ``large`` in `data_dir` if it is empty.

    Raises:
        ConfigError: the URL names none.
    """
    if not url:
        return FileBackend(data_dir / LARGE)
    if url.startswith("s3://"):
        return S3Backend(url)
    if url.startswith("file:///"):
        return FileBackend(Path(url.removeprefix("file://")))
    raise ConfigError(f"'{url[:200]}' is no blob store: use s3://bucket/prefix or file:///folder.")
