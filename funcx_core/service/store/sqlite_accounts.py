"""Tokens, clients and accounts in the embedded store."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from funcx_core.ids import ClientId, TokenId, UserId
from funcx_core.service.store import account_rows
from funcx_core.service.store.accounts import AccountStore
from funcx_core.service.store.records import Client, Token, User
from funcx_core.service.store.writer import GroupCommit


class SqliteAccounts(AccountStore):
    """Writes through the store's group commit, reads by its readers."""

    def __init__(self, writer: GroupCommit, read: Callable[..., Awaitable[Any]]) -> None:
        self._writer = writer
        self._read = read

    async def user_of(self, provider: str, subjects: Sequence[str], user: User) -> User:
        """Return the user of an account, made if there was none."""
        now = time.time()
        return await self._writer.do(
            lambda tx: account_rows.user_of_account(tx.connection, provider, subjects, user, now)
        )

    async def tokens(self, user_id: UserId) -> list[Token]:
        """Return the tokens of a user."""
        found: list[Token] = await self._read(account_rows.tokens_of, user_id)
        return found

    async def revoke(self, user_id: UserId, token_id: TokenId) -> list[str]:
        """Revoke a token."""
        return await self._writer.do(lambda tx: account_rows.revoke_token_by_id(tx.connection, user_id, token_id))

    async def extend(self, digest: str, expires_at: float) -> bool:
        """Set when a token expires."""
        return await self._writer.do(lambda tx: account_rows.extend_token(tx.connection, digest, expires_at))

    async def used(self, digest: str, now: float) -> None:
        """Record that a token was used."""
        await self._writer.do(lambda tx: account_rows.token_used(tx.connection, digest, now))

    async def add_client(self, client: Client) -> None:
        """Keep a client."""
        await self._writer.do(lambda tx: account_rows.add_client(tx.connection, client))

    async def client(self, client_id: ClientId) -> Client | None:
        """Return a client."""
        found: Client | None = await self._read(account_rows.find_client, client_id)
        return found

    async def clients(self, user_id: UserId) -> list[Client]:
        """Return the clients of a user."""
        found: list[Client] = await self._read(account_rows.clients_of, user_id)
        return found

    async def delete_client(self, user_id: UserId, client_id: ClientId) -> list[str] | None:
        """Delete a client."""
        return await self._writer.do(lambda tx: account_rows.delete_client(tx.connection, user_id, client_id))
