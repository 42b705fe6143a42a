"""The pages for browsers: the status page, the page that shows the API, the page for sign-in by a code, and what they are made of."""

from __future__ import annotations

from hashlib import sha256
from importlib.resources import files
from typing import Final, NamedTuple

from tornado import web

from funcx_core.service.handlers.base import Guard
from funcx_core.service.route import PUBLIC, operation

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Nothing inline, nothing from elsewhere."""

_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


class _File(NamedTuple):
    content: bytes
    kind: str
    etag: str


def _load() -> dict[str, _File]:
    found = {}
    for entry in (files("funcx_core.service") / "static").iterdir():
        kind = _TYPES.get(f".{entry.name.rpartition('.')[2]}")
        if kind is not None:
            content = entry.read_bytes()
            found[entry.name] = _File(content, kind, f'"{sha256(content).hexdigest()[:32]}"')
    return found


_FILES: Final = _load()


class Page(Guard):
    """Whatever is sent as it is."""

    def send(self, name: str) -> None:
        """Answer with a file of the package, unless the browser has it."""
        file = _FILES.get(name)
        if file is None:
            raise web.HTTPError(404, f"There is no file '{name[:100]}' here.")
        self.set_header("Content-Type", file.kind)
        self.set_header("Content-Security-Policy", POLICY)
        self.set_header("Referrer-Policy", "no-referrer")
        self.set_header("Cache-Control", "no-cache")
        self.set_header("Etag", file.etag)
        if self.check_etag_header():
            self.set_status(304)
            self.finish()
            return
        self.finish(file.content)


class StatusPage(Page):
    """GET /."""

    @operation(PUBLIC, reply=bytes)
    async def get(self) -> None:
        """Reply with the status page, for browsers."""
        self.send("status.html")


class DocsPage(Page):
    """GET /docs."""

    @operation(PUBLIC, reply=bytes)
    async def get(self) -> None:
        """Reply with a page that shows this description, for browsers."""
        self.send("docs.html")


class DevicePage(Page):
    """GET /device."""

    @operation(PUBLIC, reply=bytes)
    async def get(self) -> None:
        """Reply with the page on which somebody approves a sign-in by a code, for browsers."""
        self.send("device.html")


class Asset(Page):
    """GET /static/{name}."""

    @operation(PUBLIC, reply=bytes)
    async def get(self, name: str) -> None:
        """Reply with a style sheet, script or picture of the pages."""
        self.send(name)
