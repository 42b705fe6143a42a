"""What every blob backend must do; over files, and over S3 by real HTTP."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from funcx_core.errors import ConfigError, ServiceUnavailable
from funcx_core.service.blobs.base import BlobBackend
from funcx_core.service.blobs.choice import backend_of
from tests.support.s3server import s3_server

pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # moto's server leaves its sockets to the collector
    pytest.mark.xdist_group("s3"),
]
CHUNK = 5 * 1024 * 1024
CONTENT = os.urandom(CHUNK + 1234)


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    with s3_server() as url:
        yield url


@pytest.fixture(params=["files", "s3"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[BlobBackend]:
    url = "" if request.param == "files" else request.getfixturevalue("bucket")
    backend = backend_of(url, tmp_path)
    backend.open()
    yield backend
    backend.close()


def put(backend: BlobBackend, key: str, upload: str, number: int, content: bytes = CONTENT) -> str:
    writer = backend.chunk(key, upload, number, number * CHUNK)
    part = content[number * CHUNK : (number + 1) * CHUNK]
    writer.write(part[:1000])
    writer.write(bytearray(part[1000:]))
    return writer.commit()


def stored(backend: BlobBackend, key: str, content: bytes = CONTENT) -> str:
    upload = backend.begin(key)
    tags = {number: put(backend, key, upload, number, content) for number in (1, 0)}  # in any order
    backend.finish(key, upload, tags)
    return upload


def read(backend: BlobBackend, key: str, start: int = 0, length: int = len(CONTENT)) -> bytes:
    return b"".join(backend.read(key, start, length))


def test_what_was_put_comes_back(backend: BlobBackend) -> None:
    stored(backend, "whole")
    assert read(backend, "whole") == CONTENT


def test_any_part_can_be_read(backend: BlobBackend) -> None:
    stored(backend, "parts")
    assert read(backend, "parts", CHUNK - 10, 20) == CONTENT[CHUNK - 10 : CHUNK + 10]


def test_finishing_again_is_harmless(backend: BlobBackend) -> None:
    upload = backend.begin("twice")
    tags = {number: put(backend, "twice", upload, number) for number in (0, 1)}
    backend.finish("twice", upload, tags)
    backend.finish("twice", upload, tags)
    assert read(backend, "twice") == CONTENT


def test_a_chunk_may_be_written_again_after_it_was_aborted(backend: BlobBackend) -> None:
    upload = backend.begin("again")
    writer = backend.chunk("again", upload, 0, 0)
    writer.write(b"damaged" * 1000)
    writer.abort()
    tags = {number: put(backend, "again", upload, number) for number in (0, 1)}
    backend.finish("again", upload, tags)
    assert read(backend, "again") == CONTENT


def test_what_is_removed_is_gone(backend: BlobBackend) -> None:
    upload = stored(backend, "gone")
    backend.remove("gone", upload)
    with pytest.raises(ServiceUnavailable):
        read(backend, "gone")
    backend.remove("gone", upload)  # and removing it again is harmless


def test_an_unfinished_upload_can_be_removed(backend: BlobBackend) -> None:
    upload = backend.begin("unfinished")
    put(backend, "unfinished", upload, 0)
    backend.remove("unfinished", upload)
    with pytest.raises(ServiceUnavailable):
        read(backend, "unfinished")


def test_files_are_their_owners_only(tmp_path: Path) -> None:
    backend = backend_of("", tmp_path)
    backend.open()
    stored(backend, "private")
    assert (tmp_path / "large" / "private").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "url", ["gs://bucket", "s3://", "s3://key:secret@bucket", "s3://bucket?profile_name=x", "file://relative"]
)
def test_what_names_no_backend_is_refused_without_its_secret(url: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        backend_of(url, tmp_path)
    assert "secret" not in str(caught.value)


def test_a_bucket_that_is_not_there_is_a_configuration_error(bucket: str, tmp_path: Path) -> None:
    backend = backend_of(bucket.replace("funcx-values", "another-bucket"), tmp_path)
    with pytest.raises(ConfigError, match="another-bucket"):
        backend.open()
    backend.close()
