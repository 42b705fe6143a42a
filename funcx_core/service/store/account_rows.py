"""Users, their tokens, their clients, and their accounts elsewhere: rows that are few and change seldom."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from funcx_core.ids import ClientId, TokenId, UserId
from funcx_core.service.auth.scopes import Scope
from funcx_core.service.store.records import TOKEN_ID_DIGITS, Client, Token, User
from funcx_core.service.store.schema import accounts, clients, tokens, users

# --- users -----------------------------------------------------------------------------------------------------


def ensure_user(connection: sa.Connection, user: User, now: float) -> User:
    """Return the user of that name, made if there was none."""
    values = {"user_id": user.user_id, "name": user.name, "created_at": now}
    connection.execute(insert(users).values(values).on_conflict_do_nothing())
    row = connection.execute(sa.select(users).where(users.c.name == user.name)).one()
    return User(UserId(row.user_id), row.name)


def find_user(connection: sa.Connection, user_id: UserId) -> User | None:
    """Return a user."""
    row = connection.execute(sa.select(users).where(users.c.user_id == user_id)).one_or_none()
    return None if row is None else User(UserId(row.user_id), row.name)


def user_of_account(connection: sa.Connection, provider: str, subjects: Sequence[str], user: User, now: float) -> User:
    """Return the user that one of the subjects belongs to, the first first; made as `user` if there was none."""
    known = connection.execute(
        sa.select(accounts).where(accounts.c.provider == provider, accounts.c.subject.in_(subjects))
    ).all()
    by_subject = {row.subject: UserId(row.user_id) for row in known}
    user_id = next((by_subject[subject] for subject in subjects if subject in by_subject), None)
    if user_id is None:
        user_id = _add_user(connection, user, subjects[0], now).user_id
    if subjects[0] not in by_subject:
        connection.execute(sa.insert(accounts).values(provider=provider, subject=subjects[0], user_id=user_id))
    found = find_user(connection, user_id)
    return found or user


def _add_user(connection: sa.Connection, user: User, subject: str, now: float) -> User:
    """Add a user. A name that somebody else has is no proof of being that person: it is made another name."""
    for name in (user.name, f"{user.name} ({subject})"):
        values = {"user_id": user.user_id, "name": name, "created_at": now}
        if connection.execute(insert(users).values(values).on_conflict_do_nothing()).rowcount:
            break
    return user


# --- tokens ----------------------------------------------------------------------------------------------------


def add_token(connection: sa.Connection, token: Token) -> None:
    """Keep a token."""
    values = msgspec.structs.asdict(token)
    values["scopes"] = " ".join(sorted(token.scopes))
    connection.execute(sa.insert(tokens).values(values))


def find_token(connection: sa.Connection, digest: str) -> Token | None:
    """Return a token."""
    row = connection.execute(sa.select(tokens).where(tokens.c.digest == digest)).one_or_none()
    return None if row is None else _token(row)


def revoke_token(connection: sa.Connection, user_id: UserId, digest: str) -> bool:
    """Revoke a token."""
    change = sa.update(tokens).where(tokens.c.digest == digest, tokens.c.user_id == user_id).values(revoked=True)
    return connection.execute(change).rowcount > 0


def tokens_of(connection: sa.Connection, user_id: UserId) -> list[Token]:
    """Return the tokens of a user that were not revoked, newest first."""
    query = sa.select(tokens).where(tokens.c.user_id == user_id, ~tokens.c.revoked)
    return [_token(row) for row in connection.execute(query.order_by(tokens.c.created_at.desc(), tokens.c.digest))]


def revoke_token_by_id(connection: sa.Connection, user_id: UserId, token_id: TokenId) -> list[str]:
    """Revoke a token of a user; return its digest, or nothing if there is no such token."""
    digits = token_id.replace("-", "")
    chosen = sa.and_(
        sa.func.substr(tokens.c.digest, 1, TOKEN_ID_DIGITS) == digits, tokens.c.user_id == user_id, ~tokens.c.revoked
    )
    return _revoke(connection, chosen)


def extend_token(connection: sa.Connection, digest: str, expires_at: float) -> bool:
    """Set when a token that is good expires; whether there is one."""
    change = sa.update(tokens).where(tokens.c.digest == digest, ~tokens.c.revoked).values(expires_at=expires_at)
    return connection.execute(change).rowcount > 0


def token_used(connection: sa.Connection, digest: str, now: float) -> None:
    """Record that a token was used."""
    connection.execute(sa.update(tokens).where(tokens.c.digest == digest).values(last_used_at=now))


def _revoke(connection: sa.Connection, chosen: sa.ColumnElement[bool]) -> list[str]:
    digests = list(connection.scalars(sa.select(tokens.c.digest).where(chosen)))
    if digests:
        connection.execute(sa.update(tokens).where(chosen).values(revoked=True))
    return digests


def _token(row: Any) -> Token:
    values = row._asdict()
    values["scopes"] = _scopes(row.scopes)
    return Token(**values)


def _scopes(text: str) -> frozenset[Scope]:
    return frozenset(Scope(name) for name in text.split())


# --- clients ---------------------------------------------------------------------------------------------------


def add_client(connection: sa.Connection, client: Client) -> None:
    """Keep a client."""
    values = msgspec.structs.asdict(client)
    values["scopes"] = " ".join(sorted(client.scopes))
    connection.execute(sa.insert(clients).values(values))


def find_client(connection: sa.Connection, client_id: ClientId) -> Client | None:
    """Return a client."""
    row = connection.execute(sa.select(clients).where(clients.c.client_id == client_id)).one_or_none()
    return None if row is None else _client(row)


def clients_of(connection: sa.Connection, user_id: UserId) -> list[Client]:
    """Return the clients of a user, newest first."""
    query = sa.select(clients).where(clients.c.user_id == user_id)
    return [
        _client(row) for row in connection.execute(query.order_by(clients.c.created_at.desc(), clients.c.client_id))
    ]


def delete_client(connection: sa.Connection, user_id: UserId, client_id: ClientId) -> list[str] | None:
    """Delete a client and revoke its tokens; return their digests, or None if it is no client of this user."""
    chosen = sa.and_(clients.c.client_id == client_id, clients.c.user_id == user_id)
    if not connection.execute(sa.delete(clients).where(chosen)).rowcount:
        return None
    return _revoke(connection, sa.and_(tokens.c.client_id == client_id, ~tokens.c.revoked))


def _client(row: Any) -> Client:
    values = row._asdict()
    values["scopes"] = _scopes(row.scopes)
    return Client(**values)
