"""What users can do with tokens, and with clients that get tokens of theirs."""

from __future__ import annotations

import secrets
import time
import uuid
from collections.abc import Callable
from hmac import compare_digest
from typing import Final

import msgspec

from funcx_core.errors import AuthRequired, ClientNotFound, InvalidRequest, PermissionDenied, TokenNotFound
from funcx_core.ids import ClientId, TokenId
from funcx_core.service.auth.base import Authenticator, Identity
from funcx_core.service.auth.config import AuthConfig
from funcx_core.service.auth.local import LocalTokens, digest_of
from funcx_core.service.auth.scopes import Scope
from funcx_core.service.device_codes import Approved
from funcx_core.service.store.base import Store
from funcx_core.service.store.records import Client, Token, User, token_id_of

SECRET_PREFIX: Final = "fxs_"  # noqa: S105 - how a secret begins
"""Tells clients of ours, and secret scanners, that a funcX service made it."""
LONGEST_LABEL: Final = 200
DAY: Final = 86_400.0
HOUR: Final = 3_600.0


class NewToken(msgspec.Struct, frozen=True, kw_only=True):
    """A token just made. Its text is known this once."""

    token: str
    token_id: TokenId
    label: str
    scopes: list[Scope]
    expires_at: float | None


class NewClient(msgspec.Struct, frozen=True, kw_only=True):
    """A client just made. Its secret is known this once."""

    client_id: ClientId
    client_secret: str
    label: str
    scopes: list[Scope]


class Tokens:
    """The tokens and clients of one store.

    `now` gives Unix seconds.
    """

    def __init__(
        self, store: Store, authenticator: Authenticator, config: AuthConfig, *, now: Callable[[], float] = time.time
    ) -> None:
        self._store = store
        self._accounts = store.accounts
        self._authenticator = authenticator
        self._config = config
        self._local = LocalTokens(store, now=now)
        self._now = now

    def change(self, config: AuthConfig) -> None:
        """Take other lifetimes, for tokens that are made from now on."""
        self._config = config

    async def create(
        self, caller: Identity, *, label: str, scopes: list[Scope] | None = None, lifetime: float | None = None
    ) -> NewToken:
        """Make a token of the caller's.

        Args:
            caller: who asks.
            label: what it is for.
            scopes: what it may be used for; all that the caller's own may, if it is None.
            lifetime: seconds until it expires; None for never.

        Raises:
            PermissionDenied: it would have a scope that the caller's token has not.
            InvalidRequest: the label or the lifetime cannot be.
        """
        granted = _granted(caller.scopes, scopes)
        lifetime = self._bounded(lifetime)
        text = await self._local.mint(caller.user, label=_label(label), lifetime=lifetime, scopes=granted)
        return NewToken(
            token=text,
            token_id=token_id_of(digest_of(text)),
            label=label,
            scopes=sorted(granted),
            expires_at=None if lifetime is None else self._now() + lifetime,
        )

    async def all_of(self, user: User) -> list[Token]:
        """Return the user's tokens that were not revoked, newest first."""
        return await self._accounts.tokens(user.user_id)

    async def revoke(self, user: User, token_id: TokenId) -> None:
        """Make a token of the user's worthless at once.

        Raises:
            TokenNotFound: there is no such token.
        """
        digests = await self._accounts.revoke(user.user_id, token_id)
        if not digests:
            raise TokenNotFound(token_id)
        self._forget(digests)

    async def give_up(self, token: str) -> None:
        """Make a token worthless for whoever holds it: to know it is enough. A token that is not known is worthless already."""
        digest = digest_of(token)
        found = await self._store.token(digest)
        if found is not None:
            await self._store.revoke_token(found.user_id, digest)
        self._forget([digest])

    # --- clients -----------------------------------------------------------------------------------------------

    async def create_client(self, caller: Identity, *, label: str, scopes: list[Scope] | None = None) -> NewClient:
        """Make a client: an id and a secret for which a program gets tokens of the caller's.

        Raises:
            PermissionDenied: its tokens would have a scope that the caller's token has not.
            InvalidRequest: the label cannot be.
        """
        granted = _granted(caller.scopes, scopes)
        secret = SECRET_PREFIX + secrets.token_urlsafe(32)
        client = Client(
            client_id=ClientId(str(uuid.uuid4())),
            user_id=caller.user.user_id,
            label=_label(label),
            secret_digest=digest_of(secret),
            created_at=self._now(),
            scopes=granted,
        )
        await self._accounts.add_client(client)
        return NewClient(client_id=client.client_id, client_secret=secret, label=label, scopes=sorted(granted))

    async def clients_of(self, user: User) -> list[Client]:
        """Return the user's clients, newest first."""
        return await self._accounts.clients(user.user_id)

    async def delete_client(self, user: User, client_id: ClientId) -> None:
        """Delete a client of the user's and make its tokens worthless at once.

        Raises:
            ClientNotFound: there is no such client.
        """
        digests = await self._accounts.delete_client(user.user_id, client_id)
        if digests is None:
            raise ClientNotFound(client_id)
        self._forget(digests)

    async def authenticate_client(self, client_id: str, secret: str) -> Client:
        """Return the client with this id and secret.

        Raises:
            AuthRequired: there is none.
        """
        client = await self._accounts.client(ClientId(client_id.lower()))
        digest = digest_of(secret)
        if client is None or not compare_digest(client.secret_digest, digest):
            raise AuthRequired("This client id and secret are not known here. `funcx token --client` makes a pair.")
        return client

    async def token_for_client(self, client: Client, scopes: frozenset[Scope]) -> tuple[str, float]:
        """Make a token for a client, with those of the scopes that it has; return it and the seconds it lasts.

        Raises:
            AuthRequired: its user has gone.
        """
        user = await self._store.user(client.user_id)
        if user is None:
            raise AuthRequired("The user of this client has gone.")
        lifetime = self._config.client_token_hours * HOUR
        token = await self._local.mint(
            user,
            label=client.label,
            lifetime=lifetime,
            scopes=client.scopes & scopes,
            client_id=client.client_id,
        )
        return token, lifetime

    async def token_for_device(self, approved: Approved) -> tuple[str, float]:
        """Make a token of whoever approved a sign-in by a code; return it and the seconds it lasts."""
        lifetime = self._config.credentials_days * DAY
        if self._config.most_token_days:
            lifetime = min(lifetime, self._config.most_token_days * DAY)
        label = f"signed in by a code: {approved.asked.label}"
        return await self._local.mint(
            approved.by.user, label=label, lifetime=lifetime, scopes=approved.scopes
        ), lifetime

    def _bounded(self, lifetime: float | None) -> float | None:
        most = self._config.most_token_days * DAY
        if lifetime is not None and not 0 < lifetime < 1 << 40:
            raise InvalidRequest(
                f"'lifetime' is {lifetime:g}; it is in seconds, and more than 0. Leave it out for never."
            )
        if most and (lifetime is None or lifetime > most):
            raise InvalidRequest(
                f"Tokens last at most {self._config.most_token_days:g} days here: give a 'lifetime' of at most {most:.0f} s."
            )
        return lifetime

    def _forget(self, digests: list[str]) -> None:
        for digest in digests:
            self._authenticator.forget(digest)


def _granted(own: frozenset[Scope], wanted: list[Scope] | None) -> frozenset[Scope]:
    if wanted is None:
        return own
    missing = sorted(set(wanted) - own)
    if missing:
        raise PermissionDenied(f"Your token does not have the scope '{missing[0]}', so you cannot give it to another.")
    return frozenset(wanted)


def _label(label: str) -> str:
    if not label.strip() or len(label) > LONGEST_LABEL or not label.isprintable():
        raise InvalidRequest(f"'label' says what the token is for, in 1 to {LONGEST_LABEL} printable characters.")
    return label
