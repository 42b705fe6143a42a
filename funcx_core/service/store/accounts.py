"""The seam for what a store knows of tokens, of clients, and of users who are known elsewhere."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from funcx_core.ids import ClientId, TokenId, UserId
from funcx_core.service.store.records import Client, Token, User


class AccountStore(ABC):
    """Belongs to the loop of its `Store`, with the same promises: what returned is on disk."""

    @abstractmethod
    async def user_of(self, provider: str, subjects: Sequence[str], user: User) -> User:
        """Return the user whom an identity provider knows by one of `subjects`; the first is the one that signed in.

        Made as `user` if none was known, under another name if somebody has that one.
        """

    @abstractmethod
    async def tokens(self, user_id: UserId) -> list[Token]:
        """Return the tokens of a user that were not revoked, newest first."""

    @abstractmethod
    async def revoke(self, user_id: UserId, token_id: TokenId) -> list[str]:
        """Revoke a token of this user; return its digest, or nothing if there is no such token."""

    @abstractmethod
    async def extend(self, digest: str, expires_at: float) -> bool:
        """Set when a token that was not revoked expires; whether there is one."""

    @abstractmethod
    async def used(self, digest: str, now: float) -> None:
        """Record that a token was used."""

    @abstractmethod
    async def add_client(self, client: Client) -> None:
        """Keep a client."""

    @abstractmethod
    async def client(self, client_id: ClientId) -> Client | None:
        """Return a client, whoever owns it."""

    @abstractmethod
    async def clients(self, user_id: UserId) -> list[Client]:
        """Return the clients of a user, newest first."""

    @abstractmethod
    async def delete_client(self, user_id: UserId, client_id: ClientId) -> list[str] | None:
        """Delete a client of this user and revoke its tokens; return their digests, or None if there is no such client."""
