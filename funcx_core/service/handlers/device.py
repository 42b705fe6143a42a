"""Signing in by a short code: the beginning of it, and what the page ``/device`` asks for. `oauth.Token` gives the token.

No cookie means anything here: who approves shows a token in a header, which no page of another site can send.
"""

from __future__ import annotations

import msgspec

from funcx_core.service import device_codes
from funcx_core.service.auth.config import FUNCX_SCOPE
from funcx_core.service.auth.scopes import Scope
from funcx_core.service.device_codes import Asked
from funcx_core.service.handlers.base import ApiHandler
from funcx_core.service.handlers.oauth import OAuthHandler, Refusal
from funcx_core.service.operations.tokens import LONGEST_LABEL
from funcx_core.service.route import PUBLIC, operation


class DeviceForm(msgspec.Struct, frozen=True):
    """What a client asks for: `scope` are rights, separated by spaces, all if it is left out. `label` tells people who it is."""

    client_id: str = ""
    scope: str = ""
    label: str = ""


class DeviceReply(msgspec.Struct, frozen=True, kw_only=True):
    """The two codes (RFC 8628, section 3.2). Times in seconds."""

    device_code: str
    user_code: str
    verification_uri: str
    verification_uri_complete: str
    expires_in: int
    interval: float


class DeviceAuthorization(OAuthHandler):
    """POST oauth2/device_authorization."""

    @operation(PUBLIC, form=DeviceForm, reply=DeviceReply)
    async def post(self) -> None:
        """Begin a sign-in by a code that somebody types at `verification_uri`; ask for the token with `device_code`."""
        form = self.read_form(DeviceForm)
        asked = Asked(label=_label(form), address=self.request.remote_ip or "", scopes=_scopes(form.scope))
        pair = self.context.device_codes.begin(asked)
        page = f"{self.request.protocol}://{self.request.host}/device"
        self.reply(
            DeviceReply(
                device_code=pair.device_code,
                user_code=pair.user_code,
                verification_uri=page,
                # Behind the #, so that no log and no proxy has it.
                verification_uri_complete=f"{page}#user_code={pair.user_code}",
                expires_in=int(device_codes.LIFETIME),
                interval=device_codes.INTERVAL,
            )
        )


class SignIn(msgspec.Struct, frozen=True):
    """Ways to sign in: ``code``, ``token``, and by whom else the service lets in: ``globus``, ``jupyterhub``."""

    ways: list[str]


class SignInHandler(ApiHandler):
    """GET sign_in."""

    @operation(PUBLIC, reply=SignIn)
    async def get(self) -> None:
        """Reply with the ways in which users may sign in here."""
        auth = self.context.auth
        others = {"globus": auth.globus, "jupyterhub": auth.jupyterhub}
        self.reply(SignIn(["code", "token", *(name for name, section in others.items() if section is not None)]))


class FindBody(msgspec.Struct, frozen=True):
    """The code that somebody typed."""

    user_code: str


class FoundReply(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks to be signed in, as the caller. `scopes`: the rights that it would get. `expires_in` in seconds."""

    label: str
    address: str
    scopes: list[Scope]
    expires_in: float


class FindDevice(ApiHandler):
    """POST device_codes/find."""

    @operation(Scope.TOKENS, body=FindBody, reply=FoundReply)
    async def post(self) -> None:
        """Reply with who waits to be signed in by a code."""
        asked, left = self.context.device_codes.asked_with(self.read_body(FindBody).user_code, self.user.user_id)
        scopes = self.identity.scopes if asked.scopes is None else asked.scopes & self.identity.scopes
        self.reply(FoundReply(label=asked.label, address=asked.address, scopes=sorted(scopes), expires_in=left))


class DecideBody(msgspec.Struct, frozen=True):
    """A code, and whether who waits for it is let in."""

    user_code: str
    approve: bool


class Decided(msgspec.Struct, frozen=True):
    """What was decided. `scopes`: the rights that were given."""

    approved: bool
    scopes: list[Scope]


class DecideDevice(ApiHandler):
    """POST device_codes/decide."""

    @operation(Scope.TOKENS, body=DecideBody, reply=Decided)
    async def post(self) -> None:
        """Sign in who waits for a code, as the caller and with no more rights than this token has; or send it away."""
        body, codes = self.read_body(DecideBody), self.context.device_codes
        if not body.approve:
            codes.deny(body.user_code, self.user.user_id)
            self.reply(Decided(approved=False, scopes=[]))
            return
        self.reply(Decided(approved=True, scopes=sorted(codes.approve(body.user_code, self.identity))))


def _label(form: DeviceForm) -> str:
    """Return what a client says of itself, fit to be shown and kept."""
    text = "".join(letter for letter in form.label or form.client_id if letter.isprintable()).strip()
    return text[: LONGEST_LABEL // 2] or "a program without a name"


def _scopes(text: str) -> frozenset[Scope] | None:
    named = {name for name in text.split() if name not in {FUNCX_SCOPE, "all"}}
    unknown = sorted(named - set(Scope))
    if unknown:
        raise Refusal("invalid_scope", f"The scope '{unknown[0][:200]}' is not known here.")
    return frozenset(Scope(name) for name in named) or None
