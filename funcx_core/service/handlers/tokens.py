"""Tokens, and clients that get tokens."""

from __future__ import annotations

import msgspec

from funcx_core.ids import ClientId, TokenId, parse_id
from funcx_core.service.auth.scopes import Scope
from funcx_core.service.handlers.base import ApiHandler
from funcx_core.service.operations.tokens import NewClient, NewToken
from funcx_core.service.route import operation
from funcx_core.service.store.records import Client, Token

CREATED = 201


class TokenBody(msgspec.Struct, frozen=True, kw_only=True):
    """What a token is for.

    `scopes`: what it may be used for; left out, all that the caller's own may. `lifetime` in seconds; left out, for ever.
    """

    label: str
    scopes: list[Scope] | None = None
    lifetime: float | None = None


class TokenItem(msgspec.Struct, frozen=True, kw_only=True):
    """A token, as it is listed. Times are Unix seconds. `current`: it is the one of this request."""

    token_id: TokenId
    label: str
    scopes: list[Scope]
    created_at: float
    expires_at: float | None
    last_used_at: float | None
    client_id: ClientId | None
    current: bool


class TokenList(msgspec.Struct, frozen=True):
    """All of a user's tokens, newest first."""

    tokens: list[TokenItem]


class Tokens(ApiHandler):
    """GET and POST tokens."""

    @operation(Scope.TOKENS, reply=TokenList)
    async def get(self) -> None:
        """Reply with the caller's tokens that were not revoked; their texts are not kept."""
        found = await self.context.token_operations.all_of(self.user)
        self.reply(TokenList([_token_item(token, self.identity.digest) for token in found]))

    @operation(Scope.TOKENS, body=TokenBody, reply=NewToken, status=CREATED)
    async def post(self) -> None:
        """Make a token of the caller's, with no more rights than the one of this request. Its text is shown this once."""
        body = self.read_body(TokenBody)
        made = await self.context.token_operations.create(
            self.identity, label=body.label, scopes=body.scopes, lifetime=body.lifetime
        )
        self.reply(made, CREATED)


class OneToken(ApiHandler):
    """DELETE tokens/{id}."""

    @operation(Scope.TOKENS)
    async def delete(self, token_id: str) -> None:
        """Revoke a token of the caller's; it is refused from now on."""
        known = TokenId(parse_id(token_id, "token id"))
        await self.context.token_operations.revoke(self.user, known)
        self.reply({"status": "Success", "token_id": known})


class ClientBody(msgspec.Struct, frozen=True, kw_only=True):
    """What a client is for. `scopes`: what its tokens may be used for; left out, all that the caller's own may."""

    label: str
    scopes: list[Scope] | None = None


class ClientItem(msgspec.Struct, frozen=True, kw_only=True):
    """A client, as it is listed. `created_at` in Unix seconds."""

    client_id: ClientId
    label: str
    scopes: list[Scope]
    created_at: float


class ClientList(msgspec.Struct, frozen=True):
    """All of a user's clients, newest first."""

    clients: list[ClientItem]


class Clients(ApiHandler):
    """GET and POST clients."""

    @operation(Scope.TOKENS, reply=ClientList)
    async def get(self) -> None:
        """Reply with the caller's clients; their secrets are not kept."""
        found = await self.context.token_operations.clients_of(self.user)
        self.reply(ClientList([_client_item(client) for client in found]))

    @operation(Scope.TOKENS, body=ClientBody, reply=NewClient, status=CREATED)
    async def post(self) -> None:
        """Make an id and a secret for which a program gets tokens of the caller's. The secret is shown this once."""
        body = self.read_body(ClientBody)
        made = await self.context.token_operations.create_client(self.identity, label=body.label, scopes=body.scopes)
        self.reply(made, CREATED)


class OneClient(ApiHandler):
    """DELETE clients/{id}."""

    @operation(Scope.TOKENS)
    async def delete(self, client_id: str) -> None:
        """Delete a client of the caller's and revoke all its tokens."""
        known = ClientId(parse_id(client_id, "client id"))
        await self.context.token_operations.delete_client(self.user, known)
        self.reply({"status": "Success", "client_id": known})


def _token_item(token: Token, current: str) -> TokenItem:
    return TokenItem(
        token_id=token.token_id,
        label=token.label,
        scopes=sorted(token.scopes),
        created_at=token.created_at,
        expires_at=token.expires_at,
        last_used_at=token.last_used_at,
        client_id=token.client_id,
        current=token.digest == current,
    )


def _client_item(client: Client) -> ClientItem:
    return ClientItem(
        client_id=client.client_id, label=client.label, scopes=sorted(client.scopes), created_at=client.created_at
    )
