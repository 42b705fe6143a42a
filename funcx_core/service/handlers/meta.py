"""What the service says about itself."""

from __future__ import annotations

from funcx_core import __version__
from funcx_core.service.handlers.base import ApiHandler

OLDEST = "0.0.1"
"""The oldest SDK and endpoint that this service works with, as published clients compare it."""


class Version(ApiHandler):
    """GET version, version?service=all."""

    needs_token = False

    async def get(self) -> None:
        """Reply with the version of the API, or the versions of everything."""
        if self.get_query_argument("service", "api") == "all":
            self.reply({"api": __version__, "min_sdk_version": OLDEST, "min_ep_version": OLDEST})
        else:
            self.reply(__version__)


class Health(ApiHandler):
    """GET health."""

    needs_token = False

    async def get(self) -> None:
        """Reply that the service serves."""
        self.reply({"status": "ok", "version": __version__})


class LimitsHandler(ApiHandler):
    """GET limits."""

    async def get(self) -> None:
        """Reply with what clients may send."""
        self.reply(self.context.operations.limits)
