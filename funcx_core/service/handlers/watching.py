"""For those who look at the service: what is going on, numbers, and how a browser signs in."""

from __future__ import annotations

from typing import Final

import msgspec
from tornado import web

from funcx_core.errors import AuthRequired
from funcx_core.service.auth.scopes import Scope
from funcx_core.service.handlers.base import ApiHandler
from funcx_core.service.login_codes import LIFETIME
from funcx_core.service.metrics import CONTENT_TYPE
from funcx_core.service.overviews import OverviewReply
from funcx_core.service.route import PUBLIC, operation
from funcx_core.transport.loopback import is_loopback

PAGE_TOKEN_SECONDS: Final = 12 * 3600.0
_FORWARDED: Final = ("Forwarded", "X-Forwarded-For", "X-Real-Ip", "Via")


class OverviewHandler(ApiHandler):
    """GET overview."""

    @operation(Scope.READ, reply=OverviewReply)
    async def get(self) -> None:
        """Reply with endpoints, counts of tasks by state, and the newest tasks and functions of the caller."""
        self.finish(await self.context.overviews.of(self.user))


class MetricsHandler(ApiHandler):
    """GET /metrics."""

    @operation(PUBLIC, reply=bytes)
    async def get(self) -> None:
        """Reply with numbers for Prometheus, to this machine and to tokens with the scope `read`."""
        if self.context.metrics is None:
            raise web.HTTPError(404, "This service keeps no metrics: metrics.enabled is false.")
        if not (self.context.metrics_from_loopback and self._comes_from_here()):
            await self.authenticate()
            self.require(Scope.READ)
        self.set_header("Content-Type", CONTENT_TYPE)
        self.finish(await self.context.metrics.text())

    def _comes_from_here(self) -> bool:
        """Whether a process of this machine asks. A proxy on it asks for somebody else."""
        forwarded = any(name in self.request.headers for name in _FORWARDED)
        return not forwarded and is_loopback(self.request.remote_ip or "")


class CodeReply(msgspec.Struct, frozen=True):
    """A one-time code, and for how many seconds it is good."""

    code: str
    expires_in: float


class LoginCode(ApiHandler):
    """POST login_codes."""

    @operation(Scope.READ, reply=CodeReply)
    async def post(self) -> None:
        """Reply with a one-time code that signs a browser in as the caller, to look and no more."""
        self.reply(CodeReply(self.context.codes.make(self.user), LIFETIME))


class ExchangeBody(msgspec.Struct, frozen=True):
    """The code of a link."""

    code: str


class TokenReply(msgspec.Struct, frozen=True):
    """A token, and for how many seconds it is good."""

    token: str
    expires_in: float


class ExchangeCode(ApiHandler):
    """POST login_codes/exchange."""

    @operation(PUBLIC, body=ExchangeBody, reply=TokenReply)
    async def post(self) -> None:
        """Exchange a one-time code for a token with the scope `read`."""
        code = self.read_body(ExchangeBody).code
        self.context.rates.check_address(self.request.remote_ip or "", "")
        try:
            user = self.context.codes.use(code)
        except AuthRequired:
            self.context.rates.failed(self.request.remote_ip or "")
            raise
        token = await self.context.tokens.mint(
            user, label="status page", lifetime=PAGE_TOKEN_SECONDS, scopes=frozenset({Scope.READ})
        )
        self.reply(TokenReply(token, PAGE_TOKEN_SECONDS))
