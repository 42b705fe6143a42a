"""The service's description of itself."""

from __future__ import annotations

from funcx_core.service.handlers.base import ApiHandler
from funcx_core.service.route import PUBLIC, operation


class OpenApi(ApiHandler):
    """GET /openapi.json."""

    @operation(PUBLIC)
    async def get(self) -> None:
        """Reply with the OpenAPI document of this service."""
        self.reply(self.settings["openapi"])
