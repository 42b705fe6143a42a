"""What the service says about itself."""

from __future__ import annotations

import msgspec

from funcx_core import __version__
from funcx_core.protocol.client import ServiceLimits
from funcx_core.service.auth.scopes import Scope
from funcx_core.service.handlers.base import ApiHandler
from funcx_core.service.route import PUBLIC, operation

OLDEST = "0.0.1"
"""The oldest SDK and endpoint that this service works with, as published clients compare it."""


class VersionQuery(msgspec.Struct, frozen=True):
    """Whose versions are asked for: ``all`` or ``api``."""

    service: str = "api"


class Version(ApiHandler):
    """GET version, version?service=all."""

    @operation(PUBLIC, query=VersionQuery)
    async def get(self) -> None:
        """Reply with the version of the API, or the versions of everything."""
        if self.read_query(VersionQuery).service == "all":
            self.reply({"api": __version__, "min_sdk_version": OLDEST, "min_ep_version": OLDEST})
        else:
            self.reply(__version__)


class Health(ApiHandler):
    """GET health."""

    @operation(PUBLIC)
    async def get(self) -> None:
        """Reply that the service serves."""
        self.reply({"status": "ok", "version": __version__})


class LimitsHandler(ApiHandler):
    """GET limits."""

    @operation(Scope.READ, reply=ServiceLimits)
    async def get(self) -> None:
        """Reply with what clients may send, and how long results are kept."""
        operations = self.context.operations
        limits = msgspec.structs.asdict(operations.limits)
        self.reply(ServiceLimits(**limits, result_days=operations.result_days))
