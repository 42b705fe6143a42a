"""Blobs: large values, up and down in pieces."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Final

from tornado import iostream, web

from funcx_core.errors import FuncxError, InvalidRequest
from funcx_core.protocol.blob import CHUNK_CHECKSUM_HEADER, BlobState, CompleteBlob, CreateBlob, is_sha256
from funcx_core.service.auth.scopes import Scope
from funcx_core.service.blobs.uploads import IncomingChunk
from funcx_core.service.context import Context
from funcx_core.service.handlers.base import DISCARD_LIMIT, ApiHandler, Guard
from funcx_core.service.http_errors import body_of_code
from funcx_core.service.route import operation

_RANGE: Final = re.compile(r"bytes=(\d*)-(\d*)")


class Blobs(ApiHandler):
    """POST blobs."""

    @operation(Scope.SUBMIT, body=CreateBlob, reply=BlobState)
    async def post(self) -> None:
        """Make a blob, or find the same one; reply with what is missing of it."""
        self.reply(await self.context.operations.blobs.create(self.user, self.read_body(CreateBlob)))


class OneBlob(ApiHandler):
    """GET and DELETE blobs/{id}."""

    @operation(Scope.READ, reply=BlobState)
    async def get(self, blob_id: str) -> None:
        """Reply with what is known of a blob, and which of its chunks have come."""
        self.reply(await self.context.operations.blobs.state(self.user, blob_id))

    @operation(Scope.SUBMIT)
    async def delete(self, blob_id: str) -> None:
        """Delete a blob that no task uses."""
        await self.context.operations.blobs.delete(self.user, blob_id)
        self.reply({"status": "Success", "blob_id": blob_id})


class Complete(ApiHandler):
    """POST blobs/{id}/complete."""

    @operation(Scope.SUBMIT, body=CompleteBlob, reply=BlobState, optional_body=True)
    async def post(self, blob_id: str) -> None:
        """Check a blob as a whole; from then on it can be used and read."""
        body = self.read_body(CompleteBlob)
        self.reply(await self.context.operations.blobs.complete(self.user, blob_id, body.sha256))


@web.stream_request_body
class Chunk(Guard):
    """PUT blobs/{id}/chunks/{number}."""

    def initialize(self, context: Context) -> None:
        """Start with nothing."""
        super().initialize(context)
        self._chunk: IncomingChunk | None = None
        self._fault: FuncxError | None = None

    async def prepare(self) -> None:
        """Find the place of the chunk before its bytes come. What is wrong is told when they have: then it is heard."""
        await super().prepare()
        if self.request.method != "PUT":
            return
        self.request.connection.set_max_body_size(DISCARD_LIMIT)  # type: ignore[union-attr]
        blob_id, number = self.path_args
        announced = int(self.request.headers.get("Content-Length") or 0)
        try:
            if not is_sha256(self.request.headers.get(CHUNK_CHECKSUM_HEADER, "")):
                raise InvalidRequest(
                    f"The header {CHUNK_CHECKSUM_HEADER} must have the chunk's SHA-256 in lower-case hex."
                )
            chunk = await self.context.operations.blobs.chunk(self.user, blob_id, _number(number))
        except FuncxError as error:
            if announced > DISCARD_LIMIT:
                raise
            self._fault = error
            return
        if self.request.connection.stream.closed():  # type: ignore[union-attr]
            chunk.abort()
            return
        self._chunk = chunk

    async def data_received(self, chunk: bytes) -> None:
        """Pass bytes on; more are read when they are taken."""
        if self._chunk is None:
            return
        try:
            await self._chunk.write(chunk)
        except FuncxError as error:
            self._fault = error
            self._chunk.abort()
            self._chunk = None

    @operation(Scope.SUBMIT, body=bytes)
    async def put(self, blob_id: str, number: str) -> None:
        """Keep a chunk. One that is there already stays as it is."""
        if self._fault is not None or self._chunk is None:
            raise self._fault or InvalidRequest("The connection has gone.")
        await self._chunk.finish(self.request.headers[CHUNK_CHECKSUM_HEADER])
        self.set_status(HTTPStatus.OK)
        self.finish(b'{"blob_id":"%s","number":%d}' % (blob_id.encode(), int(number)))

    def on_connection_close(self) -> None:
        """The rest will not come."""
        super().on_connection_close()
        self._abort()

    def on_finish(self) -> None:
        """The answer is on its way."""
        self._abort()

    def _abort(self) -> None:
        chunk, self._chunk = self._chunk, None
        if chunk is not None:
            chunk.abort()


class Content(ApiHandler):
    """GET blobs/{id}/content."""

    @operation(Scope.READ, reply=bytes)
    async def get(self, blob_id: str) -> None:
        """Reply with the bytes of a blob, or with the one range of them that is asked for."""
        blobs = self.context.operations.blobs
        blob = await blobs.readable(self.user, blob_id)
        self.set_header("Content-Type", "application/octet-stream")
        self.set_header("Accept-Ranges", "bytes")
        self.set_header("ETag", f'"{blob.sha256}"')
        start, end = 0, blob.size
        if asked := self.request.headers.get("Range"):
            start, end = _range(asked, blob.size)
            if start >= end:
                self._refuse_range(blob.size)
                return
            self.set_status(HTTPStatus.PARTIAL_CONTENT)
            self.set_header("Content-Range", f"bytes {start}-{end - 1}/{blob.size}")
        self.set_header("Content-Length", str(end - start))
        try:
            async for block in blobs.read(blob, start, end - start):
                self.write(block)
                await self.flush()
        except iostream.StreamClosedError:
            return  # The reader has gone.
        self.finish()

    def _refuse_range(self, size: int) -> None:
        status = HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
        self.set_header("Content-Type", "application/json")
        self.set_header("Content-Range", f"bytes */{size}")
        self.reply(body_of_code("request_malformed", f"The blob has {size:,} bytes.", http_status=status), status)


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 9:  # noqa: PLR2004 - digits of a number that is surely too large
        raise InvalidRequest(f"'{text[:50]}' is not the number of a chunk.")
    return int(text)


def _range(text: str, size: int) -> tuple[int, int]:
    """Return begin and end of the one range that is asked for; all, as is allowed, for what is not understood."""
    found = _RANGE.fullmatch(text.replace(" ", ""))
    first, last = found.groups() if found else ("", "")
    if not first and not last:
        return 0, size
    if not first:
        return max(0, size - int(last)), size if int(last) else 0
    return int(first), min(size, int(last) + 1) if last else size
