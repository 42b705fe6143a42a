"""Tokens and clients of the caller, at the service that is configured."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import msgspec

from funcx_core.errors import RemoteProtocolError
from funcx_core.ids import parse_id
from funcx_core.sdk.settings import load_settings
from funcx_core.sdk.web import WebClient


class MadeClient(msgspec.Struct, frozen=True):
    """A client that was just made."""

    client_id: str
    client_secret: str


class _Token(msgspec.Struct, frozen=True, kw_only=True):
    token_id: str
    label: str
    scopes: list[str]
    expires_at: float | None
    last_used_at: float | None
    client_id: str | None
    current: bool


class _Client(msgspec.Struct, frozen=True, kw_only=True):
    client_id: str
    label: str
    scopes: list[str]


def create_token(label: str, lifetime: float | None, scopes: list[str] | None) -> str:
    """Make a token and return its text; `lifetime` in seconds."""
    made = _ask("POST", "tokens", body={"label": label, "lifetime": lifetime, "scopes": scopes})
    return str(made["token"])


def create_client(label: str) -> MadeClient:
    """Make an id and a secret."""
    made: MadeClient = _read(_ask("POST", "clients", body={"label": label}), MadeClient)
    return made


def revoke_token(token_id: str) -> None:
    """Revoke a token."""
    _ask("DELETE", "tokens", parse_id(token_id, "id"))


def delete_client(client_id: str) -> None:
    """Delete a client and revoke its tokens."""
    _ask("DELETE", "clients", parse_id(client_id, "id"))


class Asking(msgspec.Struct, frozen=True, kw_only=True):
    """Who waits to be signed in by a code."""

    label: str
    address: str
    scopes: list[str]


def waiting_for(user_code: str) -> Asking:
    """Return who waits for a code."""
    found: Asking = _read(_ask("POST", "device_codes", "find", body={"user_code": user_code}), Asking)
    return found


def decide(user_code: str, *, approve: bool) -> None:
    """Let in who waits for a code, or send it away."""
    _ask("POST", "device_codes", "decide", body={"user_code": user_code, "approve": approve})


def table() -> Iterator[str]:
    """Yield lines about all tokens and clients."""
    for token in _read(_ask("GET", "tokens")["tokens"], list[_Token]):
        kind = "token of a client" if token.client_id else "this token" if token.current else "token"
        yield f"{token.token_id}  {kind:<18}{token.label:<28}{_life(token):<44}{' '.join(token.scopes)}"
    for client in _read(_ask("GET", "clients")["clients"], list[_Client]):
        yield f"{client.client_id}  {'client':<18}{client.label:<28}{'':<44}{' '.join(client.scopes)}"


def _life(token: _Token) -> str:
    ends = "never expires" if token.expires_at is None else f"expires {_day(token.expires_at)}"
    return f"{ends}, {'not used' if token.last_used_at is None else f'used {_day(token.last_used_at)}'}"


def _day(at: float) -> str:
    return time.strftime("%Y-%m-%d", time.localtime(at))


def _ask(method: str, *path: str, body: Any = None) -> Any:
    with closing(WebClient(load_settings().require_token())) as web:
        return web.request(method, path, body=body)


def _read(answer: Any, form: Any) -> Any:
    try:
        return msgspec.convert(answer, form)
    except msgspec.ValidationError as error:
        raise RemoteProtocolError(f"The service answers in a form that is not known ({error}). Is it older?") from None
