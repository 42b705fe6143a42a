"""Blobs in a bucket of Amazon S3 or of anything that speaks its protocol.

The upload of a blob is a multipart upload, and its chunks are the parts. A chunk is first written to a temporary file here,
because S3 wants to know its length and may ask for it twice.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from funcx_core.errors import ConfigError, FuncxError, ServiceUnavailable, StorageFull
from funcx_core.service.blobs.base import BLOCK, BlobBackend, ChunkWriter

LEAST_PART: Final = 5 * 1024 * 1024
"""What S3 demands of every part but the last."""
_IN_MEMORY: Final = 64 * 1024
_GONE: Final = frozenset({"NoSuchUpload", "NoSuchKey", "404"})
_FORM: Final = "s3://bucket/prefix?endpoint_url=https://host"
_SETTINGS: Final = frozenset({"endpoint_url", "region_name"})


class S3Backend(BlobBackend):
    """Keeps objects below a prefix of a bucket. Credentials come from where boto3 looks: environment, files, the machine's role.

    Args:
        url: ``s3://bucket/prefix``, with ``endpoint_url`` and ``region_name`` as query parameters if they are needed.

    Raises:
        ConfigError: `url` is something else.
    """

    least_chunk = LEAST_PART

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        given = parse_qs(parts.query, strict_parsing=bool(parts.query))
        if parts.scheme != "s3" or not parts.hostname or parts.username or not given.keys() <= _SETTINGS:
            raise ConfigError(
                f"The blob store '{parts.scheme}://{parts.hostname or ''}{parts.path}' is not of the form {_FORM}; "
                "credentials belong into the environment or ~/.aws."
            )
        self._bucket = parts.hostname
        self._prefix = parts.path.strip("/")
        self._given = {name: values[-1] for name, values in given.items()}
        self._client: Any = None

    def open(self) -> None:
        """Look whether the bucket can be used."""
        try:
            import boto3  # noqa: PLC0415 - an extra, and half a second
            from botocore.config import Config  # noqa: PLC0415
            from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415
        except ImportError:
            raise ConfigError("Blobs in S3 need boto3. Run: pip install 'funcx-workbench[s3]'") from None
        self._errors = (ClientError, BotoCoreError)
        try:
            self._client = boto3.client(
                "s3", config=Config(retries={"mode": "standard"}, max_pool_connections=16), **self._given
            )
            self._client.head_bucket(Bucket=self._bucket)
        except (*self._errors, ValueError) as error:
            raise ConfigError(
                f"The bucket '{self._bucket}' cannot be used: {error} Check its name, endpoint_url and your credentials."
            ) from None

    def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            self._client.close()

    def begin(self, key: str) -> str:
        """Create a multipart upload."""
        return str(self._call("create_multipart_upload", key)["UploadId"])

    def chunk(self, key: str, upload: str, number: int, offset: int) -> ChunkWriter:
        """Return a writer that becomes a part."""
        del offset
        return _Part(self, key, upload, number + 1)

    def upload_part(self, key: str, upload: str, number: int, file: Any) -> str:
        """Upload what is in `file` as part `number` (from 1) and return its tag."""
        return str(self._call("upload_part", key, UploadId=upload, PartNumber=number, Body=file)["ETag"])

    def finish(self, key: str, upload: str, tags: Mapping[int, str]) -> None:
        """Complete the multipart upload."""
        parts = [{"PartNumber": number + 1, "ETag": tag} for number, tag in sorted(tags.items())]
        try:
            self._client.complete_multipart_upload(
                Bucket=self._bucket, Key=self._key(key), UploadId=upload, MultipartUpload={"Parts": parts}
            )
        except self._errors as error:
            if _code(error) not in _GONE:
                raise _explained(error) from None
            self._call("head_object", key)  # It was completed before, and is there.

    def read(self, key: str, start: int, length: int) -> Iterator[bytes]:
        """Yield a part of the object."""
        body = self._call("get_object", key, Range=f"bytes={start}-{start + length - 1}")["Body"]
        try:
            yield from body.iter_chunks(BLOCK)
        except (*self._errors, OSError) as error:
            raise _explained(error) from None
        finally:
            body.close()

    def remove(self, key: str, upload: str) -> None:
        """Abort the multipart upload and delete the object."""
        if upload:
            try:
                self._client.abort_multipart_upload(Bucket=self._bucket, Key=self._key(key), UploadId=upload)
            except self._errors as error:
                if _code(error) not in _GONE:
                    raise _explained(error) from None
        self._call("delete_object", key)

    def _call(self, operation: str, key: str, **more: Any) -> Any:
        try:
            return getattr(self._client, operation)(Bucket=self._bucket, Key=self._key(key), **more)
        except self._errors as error:
            raise _explained(error) from None

    def _key(self, key: str) -> str:
        return f"{self._prefix}/{key}" if self._prefix else key


class _Part(ChunkWriter):
    def __init__(self, backend: S3Backend, key: str, upload: str, number: int) -> None:
        self._backend = backend
        self._target = key, upload, number
        self._file = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 - closed by commit or abort

    def write(self, block: bytes | bytearray) -> None:
        """Keep the block in the temporary file."""
        try:
            self._file.write(block)
        except OSError as error:
            raise StorageFull(f"The service's temporary folder takes no more: {error.strerror}.") from None

    def commit(self) -> str:
        """Upload the part."""
        with self._file as file:
            file.seek(0)
            return self._backend.upload_part(*self._target, file)

    def abort(self) -> None:
        """Drop the temporary file."""
        self._file.close()


def _code(error: Any) -> str:
    response = getattr(error, "response", None) or {}
    return str(response.get("Error", {}).get("Code", ""))


def _explained(error: Any) -> FuncxError:
    return ServiceUnavailable(f"The service's store for large values does not answer as it should: {error}")
