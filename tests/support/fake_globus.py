"""Globus Auth and Globus Groups on the loopback: the routes, forms and replies of the real ones.

A program that is to use it needs no other code, only `environment`.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlencode, urlsplit
from urllib.request import urlopen

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

NATIVE_CLIENT = "4cf29807-cf21-49ec-9443-ff9a3fb9f81c"
SERVICE_SCOPE = "https://auth.globus.org/scopes/facd7ccc-c5f4-42aa-916b-a0e270e2c2a9/all"
GROUPS_SCOPE = "urn:globus:auth:scope:groups.api.globus.org:view_my_groups_and_memberships"
SEARCH_SCOPE = "urn:globus:auth:scope:search.api.globus.org:all"
DEPENDENT = "urn:globus:auth:grant_type:dependent_token"
LIFETIME = 172_800

RESOURCE_SERVERS = {
    SERVICE_SCOPE: "funcx_service",
    GROUPS_SCOPE: "groups.api.globus.org",
    SEARCH_SCOPE: "search.api.globus.org",
    "openid": "auth.globus.org",
    "email": "auth.globus.org",
    "profile": "auth.globus.org",
}


@dataclass
class FakeIdentity:
    """Somebody with an account. `linked` are further identities of the same person."""

    username: str
    name: str = "Ada Example"
    sub: str = field(default_factory=lambda: str(uuid.uuid4()))
    linked: list[str] = field(default_factory=list)

    @property
    def email(self) -> str:
        return self.username

    @property
    def identity_set(self) -> list[str]:
        return [self.sub, *self.linked]


@dataclass
class FakeToken:
    """An access or refresh token."""

    text: str
    identity: FakeIdentity
    client_id: str
    scopes: list[str]
    resource_server: str
    expires_at: float
    active: bool = True
    refreshes: bool = False

    @property
    def is_good(self) -> bool:
        return self.active and time.time() < self.expires_at


class Refused(Exception):
    """The answer is an error."""

    def __init__(self, status: int, error: str) -> None:
        super().__init__(error)
        self.status = status
        self.error = error


class FakeGlobus:
    """A server for as long as it is entered.

    >>> with FakeGlobus() as globus:
    ...     ada = globus.add_identity("ada@example.org")
    """

    def __init__(self) -> None:
        self.identities: dict[str, FakeIdentity] = {}
        self.clients: dict[str, str | None] = {NATIVE_CLIENT: None}
        self.audience: dict[str, str] = {}
        self.tokens: dict[str, FakeToken] = {}
        self.codes: dict[str, dict[str, Any]] = {}
        self.groups: dict[str, dict[str, Any]] = {}
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.broken = 0
        self._browser: FakeIdentity | None = None
        self._lock = threading.RLock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/"

    @property
    def environment(self) -> dict[str, str]:
        """What a program needs to use this server in place of the real ones."""
        return {"GLOBUS_SDK_SERVICE_URL_AUTH": self.url, "GLOBUS_SDK_SERVICE_URL_GROUPS": self.url}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)

    # --- what a test arranges ----------------------------------------------------------------------------------

    def add_identity(self, username: str, **more: Any) -> FakeIdentity:
        identity = FakeIdentity(username, **more)
        self.identities[identity.sub] = identity
        return identity

    def add_client(self, *, service: bool = False) -> tuple[str, str]:
        """Register a program; a `service` is the one that the service scope belongs to."""
        client_id, secret = str(uuid.uuid4()), secrets.token_urlsafe(16)
        self.clients[client_id] = secret
        self.identities[client_id] = FakeIdentity(f"{client_id}@clients.auth.globus.org", "a program", client_id)
        if service:
            self.audience[SERVICE_SCOPE] = client_id
        return client_id, secret

    def add_group(self, *members: FakeIdentity, name: str = "lab") -> str:
        group_id = str(uuid.uuid4())
        self.groups[group_id] = {"name": name, "members": {member.sub for member in members}}
        return group_id

    def grant(self, identity: FakeIdentity, scope: str = SERVICE_SCOPE, *, lifetime: float = LIFETIME) -> str:
        """Return an access token, as if the identity had signed in."""
        return self._mint(identity, NATIVE_CLIENT, [scope], lifetime=lifetime).text

    def expire(self, token: str) -> None:
        self.tokens[token].expires_at = 0

    def sign_in_by_browser(self, address: str, identity: FakeIdentity) -> str:
        """Open the page where a person signs in, consent, and return the code that is shown."""
        self._browser = identity
        with urlopen(address, timeout=10) as page:  # the redirect to the page with the code is followed
            return json.loads(page.read())["code"]

    def count(self, path: str) -> int:
        return sum(asked == path for asked, _ in self.requests)

    # --- tokens ------------------------------------------------------------------------------------------------

    def _mint(
        self,
        identity: FakeIdentity,
        client_id: str,
        scopes: list[str],
        *,
        lifetime: float = LIFETIME,
        refreshes: bool = False,
    ) -> FakeToken:
        token = FakeToken(
            text=("Rr" if refreshes else "Aa") + secrets.token_urlsafe(30),
            identity=identity,
            client_id=client_id,
            scopes=scopes,
            resource_server=RESOURCE_SERVERS[scopes[0]],
            expires_at=time.time() + (10 * lifetime if refreshes else lifetime),
            refreshes=refreshes,
        )
        self.tokens[token.text] = token
        return token

    def _granted(self, identity: FakeIdentity, client_id: str, scopes: list[str], *, refresh: bool) -> dict[str, Any]:
        """The answer of a grant: one token for each resource server, the first at the top."""
        by_server: dict[str, list[str]] = {}
        for scope in dict.fromkeys(scopes):
            if scope not in RESOURCE_SERVERS:
                raise Refused(400, "unknown_scope")
            by_server.setdefault(RESOURCE_SERVERS[scope], []).append(scope)
        found = [self._shown(self._mint(identity, client_id, wanted)) for wanted in by_server.values()]
        if refresh:
            for shown, wanted in zip(found, by_server.values(), strict=True):
                shown["refresh_token"] = self._mint(identity, client_id, wanted, refreshes=True).text
        if "openid" in scopes:
            found[0]["id_token"] = self._id_token(identity, client_id)
        return {**found[0], "state": "_default", "other_tokens": found[1:]}

    @staticmethod
    def _shown(token: FakeToken) -> dict[str, Any]:
        return {
            "access_token": token.text,
            "scope": " ".join(token.scopes),
            "expires_in": max(0, round(token.expires_at - time.time())),
            "token_type": "Bearer",
            "resource_server": token.resource_server,
        }

    def _id_token(self, identity: FakeIdentity, client_id: str) -> str:
        now = int(time.time())
        claims = {
            "iss": self.url.rstrip("/"),
            "aud": client_id,
            "sub": identity.sub,
            "preferred_username": identity.username,
            "iat": now,
            "exp": now + LIFETIME,
        }
        return jwt.encode(claims, _key(), algorithm="RS512")

    # --- routes ------------------------------------------------------------------------------------------------

    def serve(self, method: str, path: str, form: dict[str, str], headers: Any) -> tuple[int, Any, dict[str, str]]:
        with self._lock:
            self.requests.append((path, form))
            if self.broken:
                self.broken -= 1
                raise Refused(503, "unavailable")
        routes: dict[tuple[str, str], Callable[[dict[str, str], Any], Any]] = {
            ("GET", "/v2/oauth2/authorize"): self._authorize,
            ("GET", "/v2/web/auth-code"): lambda form, _: form,
            ("POST", "/v2/oauth2/token"): self._token,
            ("POST", "/v2/oauth2/token/introspect"): self._introspect,
            ("POST", "/v2/oauth2/token/revoke"): self._revoke,
            ("GET", "/v2/oauth2/userinfo"): self._userinfo,
            ("GET", "/v2/api/identities"): self._identities,
            ("GET", "/v2/groups/my_groups"): self._my_groups,
            ("GET", "/.well-known/openid-configuration"): self._openid_configuration,
            ("GET", "/jwk.json"): self._jwk,
        }
        route = routes.get((method, path))
        if route is None:
            raise Refused(404, "not_found")
        answer = route(form, headers)
        if isinstance(answer, str):
            return 302, None, {"Location": answer}
        return 200, answer, {}

    def _authorize(self, form: dict[str, str], _: Any) -> str:
        identity, self._browser = self._browser, None
        if identity is None or form["client_id"] not in self.clients or form["response_type"] != "code":
            raise Refused(400, "invalid_request")
        code = secrets.token_urlsafe(12)
        self.codes[code] = {**form, "identity": identity}
        return f"{form['redirect_uri']}?{urlencode({'code': code, 'state': form.get('state', '')})}"

    def _token(self, form: dict[str, str], headers: Any) -> Any:
        match form.get("grant_type"):
            case "authorization_code":
                return self._exchange_code(form, self._client(form, headers))
            case "refresh_token":
                return self._refresh(form, self._client(form, headers))
            case "client_credentials":
                client_id = self._confidential(headers)
                return self._granted(self.identities[client_id], client_id, form["scope"].split(), refresh=False)
            case kind if kind == DEPENDENT:
                return self._dependent(form, self._confidential(headers))
            case _:
                raise Refused(400, "unsupported_grant_type")

    def _exchange_code(self, form: dict[str, str], client_id: str) -> Any:
        asked = self.codes.pop(form["code"], None)
        if asked is None or asked["client_id"] != client_id or asked["redirect_uri"] != form["redirect_uri"]:
            raise Refused(401, "invalid_grant")
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        if asked["code_challenge"] != base64.urlsafe_b64encode(digest).rstrip(b"=").decode():
            raise Refused(401, "invalid_grant")
        refresh = asked.get("access_type") == "offline"
        return self._granted(asked["identity"], client_id, asked["scope"].split(), refresh=refresh)

    def _refresh(self, form: dict[str, str], client_id: str) -> Any:
        token = self.tokens.get(form["refresh_token"])
        if token is None or not token.is_good or not token.refreshes or token.client_id != client_id:
            raise Refused(400, "invalid_grant")
        return {**self._shown(self._mint(token.identity, client_id, token.scopes)), "other_tokens": []}

    def _dependent(self, form: dict[str, str], client_id: str) -> Any:
        token = self.tokens.get(form["token"])
        if token is None or not token.is_good or self.audience.get(token.scopes[0]) != client_id:
            raise Refused(400, "invalid_grant")
        wanted = form.get("scope", GROUPS_SCOPE).split()
        return [self._shown(self._mint(token.identity, client_id, [scope])) for scope in wanted]

    def _introspect(self, form: dict[str, str], headers: Any) -> Any:
        client_id = self._confidential(headers)
        token = self.tokens.get(form["token"])
        if token is None or not token.is_good or self.audience.get(token.scopes[0]) != client_id:
            return {"active": False}
        identity = token.identity
        answer = {
            "active": True,
            "scope": " ".join(token.scopes),
            "client_id": token.client_id,
            "sub": identity.sub,
            "username": identity.username,
            "name": identity.name,
            "email": identity.email,
            "aud": [token.resource_server, client_id],
            "iss": "https://auth.globus.org",
            "exp": int(token.expires_at),
            "iat": int(token.expires_at - LIFETIME),
            "nbf": int(token.expires_at - LIFETIME),
            "token_type": "Bearer",
        }
        if "identity_set" in form.get("include", "").replace(",", " ").split():
            answer["identity_set"] = identity.identity_set
        return answer

    def _revoke(self, form: dict[str, str], headers: Any) -> Any:
        client_id = self._client(form, headers)
        token = self.tokens.get(form["token"])
        if token is not None and token.client_id == client_id:
            token.active = False
        return {"active": False}

    def _userinfo(self, _: dict[str, str], headers: Any) -> Any:
        identity = self._bearer(headers, "openid").identity
        return {
            "sub": identity.sub,
            "preferred_username": identity.username,
            "name": identity.name,
            "email": identity.email,
            "identity_set": [{"sub": sub} for sub in identity.identity_set],
        }

    def _identities(self, form: dict[str, str], headers: Any) -> Any:
        self._bearer(headers, "openid")
        wanted = set(form.get("ids", "").split(",")) | set(form.get("usernames", "").split(","))
        return {
            "identities": [
                {"id": one.sub, "username": one.username, "name": one.name, "email": one.email, "status": "used"}
                for one in self.identities.values()
                if {one.sub, one.username} & wanted
            ]
        }

    def _my_groups(self, _: dict[str, str], headers: Any) -> Any:
        identity = self._bearer(headers, GROUPS_SCOPE).identity
        return [
            {
                "id": group_id,
                "name": group["name"],
                "group_type": "regular",
                "my_memberships": [{"group_id": group_id, "identity_id": identity.sub, "status": "active"}],
            }
            for group_id, group in self.groups.items()
            if group["members"] & set(identity.identity_set)
        ]

    def _openid_configuration(self, *_: Any) -> Any:
        return {
            "issuer": self.url.rstrip("/"),
            "jwks_uri": f"{self.url}jwk.json",
            "id_token_signing_alg_values_supported": ["RS512"],
        }

    def _jwk(self, *_: Any) -> Any:
        public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(_key().public_key()))
        return {"keys": [{**public, "alg": "RS512", "kid": "fake", "use": "sig"}]}

    # --- who asks ----------------------------------------------------------------------------------------------

    def _confidential(self, headers: Any) -> str:
        kind, _, text = headers.get("Authorization", "").partition(" ")
        client_id, _, secret = base64.b64decode(text).decode().partition(":") if kind == "Basic" else ("", "", "")
        if not secret or self.clients.get(client_id) != secret:
            raise Refused(401, "invalid_client")
        return client_id

    def _client(self, form: dict[str, str], headers: Any) -> str:
        client_id = form.get("client_id", "")
        if self.clients.get(client_id, "") is None:
            return client_id
        return self._confidential(headers)

    def _bearer(self, headers: Any, scope: str) -> FakeToken:
        token = self.tokens.get(headers.get("Authorization", "").removeprefix("Bearer "))
        if token is None or not token.is_good or token.refreshes:
            raise Refused(401, "UNAUTHORIZED")
        if scope not in token.scopes:
            raise Refused(403, "FORBIDDEN")
        return token


@cache
def _key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _handler(globus: FakeGlobus) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            self._serve(parts.path, parts.query)

        def do_POST(self) -> None:
            self._serve(self.path, self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode())

        def _serve(self, path: str, text: str) -> None:
            form = {name: values[0] for name, values in parse_qs(text, keep_blank_values=True).items()}
            try:
                status, body, headers = globus.serve(self.command, path, form, self.headers)
            except Refused as refused:
                status, body, headers = refused.status, {"error": refused.error}, {"Retry-After": "0"}
            except KeyError as missing:
                status, body, headers = 400, {"error": "invalid_request", "error_description": str(missing)}, {}
            content = json.dumps(body).encode()
            self.send_response(status)
            for name, value in {**headers, "Content-Type": "application/json"}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    return Handler
