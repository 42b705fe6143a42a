"""JupyterHub: its API tokens are checked by asking the Hub whose they are."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

import msgspec
from tornado.httpclient import AsyncHTTPClient, HTTPError

from funcx_core.errors import ServiceUnavailable
from funcx_core.ids import UserId, new_endpoint_id
from funcx_core.service.auth.base import Identity, Provider
from funcx_core.service.auth.config import JupyterHubConfig
from funcx_core.service.auth.local import digest_of
from funcx_core.service.store.accounts import AccountStore
from funcx_core.service.store.records import User

TIMEOUT: Final = 10.0
MOST_ANSWER: Final = 1024 * 1024
_TOKEN: Final = re.compile(r"[0-9a-f]{32}")
_UNKNOWN: Final = frozenset({401, 403, 404})
_NAME: Final = "jupyterhub"


class _HubUser(msgspec.Struct, frozen=True, kw_only=True):
    """What the Hub says of a token's user. `kind` is ``user`` or ``service``."""

    kind: str
    name: str
    scopes: list[str] = []
    groups: list[str] = []


class JupyterHub(Provider):
    """Knows API tokens of one JupyterHub whose scopes let them access this service.

    Args:
        config: where the Hub is, and what it calls this service.
        accounts: which users its users are.
    """

    name = _NAME
    title = "JupyterHub"
    advice = "Request a new one on the Hub's page 'Token'; its user needs the Hub's scope access:services."

    def __init__(self, config: JupyterHubConfig, accounts: AccountStore) -> None:
        self._url = f"{config.api_url.rstrip('/')}/user"
        self._host = urlsplit(config.api_url).hostname or ""
        self._admitted = {"access:services", f"access:services!service={config.service}"}
        self._accounts = accounts
        self._client = AsyncHTTPClient(
            force_instance=True,
            defaults={"connect_timeout": TIMEOUT, "request_timeout": TIMEOUT},
            max_body_size=MOST_ANSWER,
        )

    def accepts(self, token: str) -> bool:
        """Whether it looks like one."""
        return _TOKEN.fullmatch(token) is not None

    async def identify(self, token: str) -> Identity | None:
        """Return whose token it is; see `Provider`."""
        found = await self._ask(token)
        if found is None or found.kind != "user" or not self._admitted & set(found.scopes):
            return None
        user = await self._accounts.user_of(
            _NAME, [found.name], User(UserId(str(new_endpoint_id())), f"{found.name}@{self._host}")
        )
        groups = frozenset(f"{_NAME}:{name}" for name in found.groups)

        async def known_groups() -> frozenset[str]:
            return groups

        return Identity(user=user, proven_by=_NAME, digest=digest_of(token), groups=known_groups)

    async def close(self) -> None:
        """Close idle connections."""
        self._client.close()

    async def _ask(self, token: str) -> _HubUser | None:
        try:
            reply = await self._client.fetch(
                self._url, headers={"Authorization": f"token {token}"}, follow_redirects=False
            )
            return msgspec.json.decode(reply.body, type=_HubUser)
        except HTTPError as error:
            if error.code in _UNKNOWN:
                return None
            raise ServiceUnavailable(
                f"JupyterHub answers {error.code}. Try again in a moment.", retry_after=5
            ) from None
        except msgspec.MsgspecError:
            raise ServiceUnavailable("JupyterHub answers in a form that is not known.", retry_after=30) from None
        except OSError as error:
            raise ServiceUnavailable(f"JupyterHub cannot be reached ({error.strerror}).", retry_after=5) from None
