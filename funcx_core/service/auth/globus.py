"""Globus Auth: tokens are checked by introspection, groups are asked for by a token that depends on the caller's.

globus-sdk waits while it asks, so it works in threads of its own. What Globus Auth answers is in no log.
"""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

import msgspec
from globus_sdk import (
    AccessTokenAuthorizer,
    ConfidentialAppAuthClient,
    GlobusAPIError,
    GroupsClient,
    NetworkError,
)
from globus_sdk.transport import RequestsTransport, RetryConfig

from funcx_core.errors import RemoteProtocolError, ServiceUnavailable
from funcx_core.ids import UserId, new_endpoint_id
from funcx_core.service.auth.base import Identity, Provider, no_groups
from funcx_core.service.auth.config import GlobusConfig
from funcx_core.service.auth.local import digest_of
from funcx_core.service.store.accounts import AccountStore
from funcx_core.service.store.records import User

GROUPS_SCOPE: Final = "urn:globus:auth:scope:groups.api.globus.org:view_my_groups_and_memberships"
THREADS: Final = 4
TIMEOUT: Final = 10.0
_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/-]{30,}=*")
_HUB_TOKEN: Final = re.compile(r"[0-9a-f]{32}")
_NAME: Final = "globus"

T = TypeVar("T")


class _Introspected(msgspec.Struct, frozen=True, kw_only=True):
    """What Globus Auth says of a token."""

    active: bool
    scope: str = ""
    sub: str = ""
    username: str = ""
    exp: float = 0.0
    identity_set: tuple[str, ...] = ()


class GlobusAuth(Provider):
    """Knows tokens of Globus Auth that have this service's scope.

    Args:
        config: how the service is registered.
        accounts: which users its identities are.
    """

    name = _NAME
    title = "Globus Auth"
    advice = "Sign in again: `funcx login`."

    def __init__(self, config: GlobusConfig, accounts: AccountStore) -> None:
        self._config = config
        self._accounts = accounts
        self._secret = config.secret()
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="globus")
        self._of_thread = threading.local()

    def accepts(self, token: str) -> bool:
        """Whether it looks like one; tokens of a JupyterHub do not."""
        return _TOKEN.fullmatch(token) is not None and _HUB_TOKEN.fullmatch(token) is None

    async def identify(self, token: str) -> Identity | None:
        """Return whose token it is; see `Provider`."""
        found = await self._ask(lambda: self._introspect(token))
        if not found.active or self._config.scope not in found.scope.split() or not found.sub:
            return None
        user = await self._accounts.user_of(
            _NAME,
            list(dict.fromkeys((found.sub, *found.identity_set))),
            User(UserId(str(new_endpoint_id())), found.username or found.sub),
        )
        return Identity(
            user=user,
            proven_by=_NAME,
            expires_at=found.exp,
            digest=digest_of(token),
            groups=(lambda: self._ask(lambda: self._groups(token))) if self._config.groups else no_groups,
        )

    async def close(self) -> None:
        """Let go of the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _ask(self, question: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, lambda: _answered(question))

    # --- in a thread -------------------------------------------------------------------------------------------

    def _client(self) -> ConfidentialAppAuthClient:
        """Return this thread's client: a session of `requests` is for one thread."""
        client = getattr(self._of_thread, "client", None)
        if client is None:
            client = self._of_thread.client = ConfidentialAppAuthClient(
                self._config.client_id, self._secret, app_name="funcX service", **_patience()
            )
        return client

    def _introspect(self, token: str) -> _Introspected:
        answer = self._client().oauth2_token_introspect(token, include="identity_set")
        try:
            return msgspec.convert(answer.data, _Introspected)
        except msgspec.ValidationError:
            raise RemoteProtocolError("Globus Auth answers an introspection in a form that is not known.") from None

    def _groups(self, token: str) -> frozenset[str]:
        dependent = self._client().oauth2_get_dependent_tokens(token, scope=GROUPS_SCOPE)
        access_token = dependent.by_resource_server["groups.api.globus.org"]["access_token"]
        client = GroupsClient(authorizer=AccessTokenAuthorizer(access_token), app_name="funcX service", **_patience())
        return frozenset(
            group["id"]
            for group in client.get_my_groups()
            if any(membership.get("status") == "active" for membership in group.get("my_memberships", ()))
        )


def _patience() -> dict[str, Any]:
    """Few tries: somebody waits for the answer, and is told to try again."""
    return {
        "transport": RequestsTransport(http_timeout=TIMEOUT),
        "retry_config": RetryConfig(max_retries=1, max_sleep=1),
    }


def _answered(question: Callable[[], T]) -> T:
    try:
        return question()
    except GlobusAPIError as error:
        raise ServiceUnavailable(
            f"Globus does not answer this service's question ({error.http_status} {error.code}). Try again in a moment; if it "
            "lasts, whoever runs the service checks its [auth.globus].",
            retry_after=5,
        ) from None
    except NetworkError as error:
        raise ServiceUnavailable(f"Globus cannot be reached ({type(error).__name__}).", retry_after=5) from None
