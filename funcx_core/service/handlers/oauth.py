"""The few routes of OAuth2 that published clients expect, at the paths where globus-sdk looks for them.

With them, a program that has an id and a secret of this service signs in here as it would with Globus Auth.
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl

import msgspec

from funcx_core.errors import AuthRequired, FuncxError, InvalidRequest
from funcx_core.service.auth.config import FUNCX_SCOPE
from funcx_core.service.auth.local import digest_of
from funcx_core.service.auth.scopes import ALL, Scope
from funcx_core.service.device_codes import Approved, Denied, Gone, Pending
from funcx_core.service.handlers.base import ApiHandler
from funcx_core.service.http_errors import ErrorBody, error_body
from funcx_core.service.route import PUBLIC, operation
from funcx_core.service.store.records import Client, User

T = TypeVar("T")

DEVICE_GRANT: Final = "urn:ietf:params:oauth:grant-type:device_code"

_FUNCX: Final = "funcx_service"
_AUTH: Final = "auth.globus.org"
_SEARCH: Final = "search.api.globus.org"
_SERVERS: Final = {
    FUNCX_SCOPE: _FUNCX,
    "openid": _AUTH,
    "email": _AUTH,
    "profile": _AUTH,
    "urn:globus:auth:scope:auth.globus.org:manage_projects": _AUTH,
    "urn:globus:auth:scope:auth.globus.org:view_identities": _AUTH,
    "urn:globus:auth:scope:search.api.globus.org:all": _SEARCH,
    "urn:globus:auth:scope:search.api.globus.org:search": _SEARCH,
}
"""The resource server that the token for a scope is for, as Globus Auth names it."""
_RIGHTS: Final = {_FUNCX: ALL, _AUTH: frozenset({Scope.READ}), _SEARCH: frozenset[Scope]()}
"""What the token for a resource server may be used for here."""


class TokenForm(msgspec.Struct, frozen=True):
    """What a program sends, with its id and secret in the header ``Authorization: Basic``.

    Who signs in by a code (RFC 8628) sends `device_code`, and no header: to know it is enough.
    """

    grant_type: str
    scope: str = ""
    device_code: str = ""
    client_id: str = ""


class GrantedToken(msgspec.Struct, frozen=True, kw_only=True):
    """A token, for one resource server. `expires_in` in seconds."""

    access_token: str
    scope: str
    expires_in: int
    resource_server: str
    token_type: str = "Bearer"  # noqa: S105 - no secret


class Granted(GrantedToken, frozen=True, kw_only=True):
    """The answer to a grant: the token for the first resource server, and those for further ones."""

    other_tokens: list[GrantedToken]


class OAuthError(ErrorBody, frozen=True, kw_only=True, omit_defaults=True):
    """An `ErrorBody` that clients of OAuth2 understand, too (RFC 6749, section 5.2)."""

    error: str
    error_description: str


class Refusal(InvalidRequest):
    """A grant that cannot be. `error` is one of the words of OAuth2."""

    def __init__(self, error: str, text: str) -> None:
        self.error = error
        super().__init__(text)


class OAuthHandler(ApiHandler):
    """Reads forms in place of JSON, and tells errors in the words of OAuth2."""

    max_body = 16 * 1024

    def read_form(self, form: type[T]) -> T:
        """Return the body as a `form`.

        Raises:
            PayloadTooLarge: it is longer than this route takes.
            InvalidRequest: it is something else.
        """
        if self._too_large is not None:
            raise self._too_large
        try:
            pairs = dict(parse_qsl(self._body.decode(), keep_blank_values=True, max_num_fields=50))
            return msgspec.convert(pairs, form, strict=False)
        except (ValueError, msgspec.ValidationError) as error:
            raise Refusal("invalid_request", f"The form cannot be read: {str(error)[:300]}") from None

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Answer with an `OAuthError` to what the caller did wrong."""
        raised = kwargs.get("exc_info", (None, None, None))[1]
        if not isinstance(raised, AuthRequired | InvalidRequest):
            super().write_error(status_code, **kwargs)
            return
        error = "invalid_client" if isinstance(raised, AuthRequired) else getattr(raised, "error", "invalid_request")
        if isinstance(raised, AuthRequired):
            self.set_header("WWW-Authenticate", "Basic")
        self.set_status(raised.http_status)
        self.finish(msgspec.json.encode(_oauth_error(raised, error)))

    def basic(self) -> tuple[str, str]:
        """Return id and secret of the request.

        Raises:
            AuthRequired: there are none.
        """
        kind, _, text = self.request.headers.get("Authorization", "").partition(" ")
        try:
            client_id, _, secret = b64decode(text, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            client_id = secret = ""
        if kind.lower() != "basic" or not client_id or not secret:
            raise AuthRequired("Send the id and the secret of a client by 'Authorization: Basic'.")
        return client_id, secret


class Token(OAuthHandler):
    """POST oauth2/token."""

    @operation(PUBLIC, form=TokenForm, reply=Granted)
    async def post(self) -> None:
        """Reply with tokens for a client: one for each resource server that the scopes name. Or with one for a device code."""
        tokens = self.context.token_operations
        form = self._form_of_device()
        if form is not None:
            self.reply(await self._of_device(form.device_code))
            return
        client = await self._client()
        form = self.read_form(TokenForm)
        if form.grant_type != "client_credentials":
            raise Refusal("unsupported_grant_type", f"The grant '{form.grant_type[:100]}' is not known here.")
        granted = []
        for server, scopes in _by_server(form.scope, self._scope_of_globus).items():
            text, lifetime = await tokens.token_for_client(client, _RIGHTS[server])
            granted.append(
                GrantedToken(
                    access_token=text, scope=" ".join(scopes), expires_in=int(lifetime), resource_server=server
                )
            )
        self.reply(Granted(**msgspec.structs.asdict(granted[0]), other_tokens=granted[1:]))

    def _form_of_device(self) -> TokenForm | None:
        """Return the form if it asks with a device code: only such a one is looked at before the client has proved itself."""
        try:
            form = self.read_form(TokenForm)
        except FuncxError:
            return None
        return form if form.grant_type == DEVICE_GRANT else None

    async def _of_device(self, device_code: str) -> Granted:
        match self.context.device_codes.ask(device_code):
            case Pending(too_soon=True, interval=interval):
                raise Refusal("slow_down", f"Ask every {interval:g} s at most.")
            case Pending():
                raise Refusal("authorization_pending", "Nobody has typed the code and approved it yet.")
            case Denied():
                raise Refusal("access_denied", "The sign-in was denied.")
            case Gone():
                raise Refusal("expired_token", "This code is not known any more: it is good for ten minutes and once.")
            case Approved() as approved:
                text, lifetime = await self.context.token_operations.token_for_device(approved)
                return Granted(
                    access_token=text,
                    scope=" ".join(sorted(approved.scopes)),
                    expires_in=int(lifetime),
                    resource_server=_FUNCX,
                    other_tokens=[],
                )

    async def _client(self) -> Client:
        """Return who asks. Secrets can be guessed as tokens can, so wrong ones count with unknown tokens."""
        rates, address = self.context.rates, self.request.remote_ip or ""
        client_id, secret = self.basic()
        key = digest_of(f"{client_id}:{secret}")
        rates.check_address(address, key)
        try:
            client = await self.context.token_operations.authenticate_client(client_id, secret)
        except AuthRequired:
            rates.failed(address)
            raise
        rates.succeeded(key)
        return client

    @property
    def _scope_of_globus(self) -> str:
        config = self.context.auth.globus
        return FUNCX_SCOPE if config is None else config.scope


class RevokeForm(msgspec.Struct, frozen=True):
    """The token to be revoked: to know it is enough. funcX 1.0.6 also names none, for a refresh token that it never had."""

    token: str = ""


class Revoke(OAuthHandler):
    """POST oauth2/token/revoke."""

    @operation(PUBLIC, form=RevokeForm)
    async def post(self) -> None:
        """Make a token worthless; the answer is the same whether it was known or not."""
        await self.context.token_operations.give_up(self.read_form(RevokeForm).token)
        self.reply({"active": False})


class Sub(msgspec.Struct, frozen=True):
    """An identity of the caller."""

    sub: str
    username: str


class UserInfo(msgspec.Struct, frozen=True, kw_only=True):
    """Who the caller is."""

    sub: str
    preferred_username: str
    name: str
    identity_set: list[Sub]


class UserInfoHandler(ApiHandler):
    """GET oauth2/userinfo."""

    @operation(Scope.READ, reply=UserInfo)
    async def get(self) -> None:
        """Reply with who the caller is."""
        user = self.user
        self.reply(
            UserInfo(
                sub=user.user_id,
                preferred_username=user.name,
                name=user.name,
                identity_set=[Sub(user.user_id, user.name)],
            )
        )


class IdentitiesQuery(msgspec.Struct, frozen=True):
    """Ids or names, separated by commas."""

    ids: str = ""
    usernames: str = ""


class FoundIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who is known here."""

    id: str
    username: str
    name: str
    status: str = "used"


class Identities(msgspec.Struct, frozen=True):
    """Those who were asked for and may be seen."""

    identities: list[FoundIdentity]


class IdentitiesHandler(ApiHandler):
    """GET api/identities."""

    @operation(Scope.READ, query=IdentitiesQuery, reply=Identities)
    async def get(self) -> None:
        """Reply with those of the named identities that the caller may see: their own."""
        query = self.read_query(IdentitiesQuery)
        wanted = {*query.ids.lower().split(","), *query.usernames.split(",")}
        found = [_identity(self.user)] if {self.user.user_id, self.user.name} & wanted else []
        self.reply(Identities(found))


def _identity(user: User) -> FoundIdentity:
    return FoundIdentity(id=user.user_id, username=user.name, name=user.name)


def _by_server(text: str, funcx_scope: str) -> dict[str, list[str]]:
    """Sort scopes by resource server, without repetitions; the one of funcX if none is named."""
    found: dict[str, list[str]] = {}
    for scope in dict.fromkeys(text.split() or [FUNCX_SCOPE]):
        server = _FUNCX if scope == funcx_scope else _SERVERS.get(scope)
        if server is None:
            raise Refusal("invalid_scope", f"The scope '{scope[:200]}' is not known here.")
        found.setdefault(server, []).append(scope)
    return found


def _oauth_error(raised: FuncxError, error: str) -> OAuthError:
    return OAuthError(**msgspec.structs.asdict(error_body(raised)), error=error, error_description=str(raised))
