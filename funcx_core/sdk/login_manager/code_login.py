"""Signing in by a short code that is typed in a browser elsewhere (RFC 8628), for where nobody can be asked."""

from __future__ import annotations

import getpass
import platform
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Final

import msgspec

from funcx_core.errors import AuthRequired, RateLimited, RemoteProtocolError, ServiceUnavailable
from funcx_core.sdk.login_manager.forms import post_form
from funcx_core.sdk.settings import normal_address, save_credentials

DEVICE_GRANT: Final = "urn:ietf:params:oauth:grant-type:device_code"
SLOWER: Final = 5.0
LONGEST_PAUSE: Final = 60.0
_AGAIN: Final = "Sign in again to get another code."


class Begun(msgspec.Struct, frozen=True, kw_only=True):
    """What the service answers to the beginning. Times in seconds."""

    device_code: str
    user_code: str
    expires_in: float
    interval: float = 5.0

    def __repr__(self) -> str:
        return f"Begun({self.user_code!r})"  # The other one is a secret.


class Heard(msgspec.Struct, frozen=True):
    """What the service answers to a question: a token, or why there is none. An error of neither kind is no answer."""

    access_token: str = ""
    error: str = ""


class Waiting:
    """Decides when to ask, and when it is over. Pure: the time, in seconds that never go back, is an argument.

    Args:
        begun: what the service answered.
        now: when.
    """

    def __init__(self, begun: Begun, *, now: float) -> None:
        self._interval = max(0.1, begun.interval)
        self._until = now + begun.expires_in

    def next(self, heard: Heard | None, *, now: float) -> float:
        """Return the seconds until the next question.

        Args:
            heard: the last answer without a token; None if there was none at all.
            now: the time.

        Raises:
            AuthRequired: it is over, without a token.
        """
        match heard:
            case None:
                self._interval = min(LONGEST_PAUSE, 2 * self._interval)
            case Heard(error="authorization_pending"):
                pass
            case Heard(error="slow_down"):
                self._interval += SLOWER
            case Heard(error="access_denied"):
                raise AuthRequired("The sign-in was denied on the page.")
            case Heard(error="expired_token" | "invalid_grant"):
                raise AuthRequired(f"Nobody approved the code in time, or the service was restarted. {_AGAIN}")
            case _:
                raise AuthRequired(f"The service refuses the code ({heard.error[:100] or 'no reason'}). {_AGAIN}")
        if now + self._interval > self._until:
            raise AuthRequired(f"Nobody approved the code in time. {_AGAIN}")
        return self._interval


def sign_in_by_code(
    address: str,
    *,
    say: Callable[[str], None],
    pause: Callable[[float], None] = time.sleep,
    label: str | None = None,
) -> str:
    """Show a code, wait until somebody has approved it, save the token for the service, and return its address.

    Args:
        address: of the service.
        say: shows one line.
        pause: waits for some seconds; an exception that it raises ends the sign-in.
        label: what the page tells of who asks; user and machine if it is left out.

    Raises:
        AuthRequired: it was denied, or nobody approved it in time.
        ServiceUnavailable: the service cannot be reached.
    """
    address = normal_address(address)
    begun = _begin(address, label or _who())
    minutes = round(begun.expires_in / 60)
    say(f"Open {address.removesuffix('/v2')}/device and enter {begun.user_code} ({minutes} min)")
    save_credentials(address, _wait(address, begun, pause))
    return address


def _begin(address: str, label: str) -> Begun:
    status, body = post_form(f"{address}/oauth2/device_authorization", {"client_id": "funcx", "label": label})
    if status == HTTPStatus.NOT_FOUND:
        raise AuthRequired(
            f"{address} signs nobody in by a code: it is older, or no funcX service. Use a token: FUNCX_TOKEN."
        )
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        raise RateLimited(
            "Too many sign-ins by a code are open at the service. Try again in a minute.", retry_after=60.0
        )
    if status != HTTPStatus.OK:
        raise ServiceUnavailable(f"{address} answers {status}. Try again in a moment.")
    try:
        return msgspec.json.decode(body, type=Begun)
    except msgspec.MsgspecError:
        raise RemoteProtocolError(f"{address} answers something else than a code. Is the address right?") from None


def _wait(address: str, begun: Begun, pause: Callable[[float], None]) -> str:
    waiting = Waiting(begun, now=time.monotonic())
    heard: Heard | None = Heard(error="authorization_pending")
    while True:
        pause(waiting.next(heard, now=time.monotonic()))
        heard = _ask(address, begun.device_code)
        if heard is not None and heard.access_token:
            return heard.access_token


def _ask(address: str, device_code: str) -> Heard | None:
    fields = {"grant_type": DEVICE_GRANT, "device_code": device_code, "client_id": "funcx"}
    try:
        status, body = post_form(f"{address}/oauth2/token", fields)
        is_answer = status < HTTPStatus.INTERNAL_SERVER_ERROR and status != HTTPStatus.TOO_MANY_REQUESTS
        return msgspec.json.decode(body, type=Heard) if is_answer else None
    except (ServiceUnavailable, msgspec.MsgspecError):
        return None  # It may be back before the code is too old.


def _who() -> str:
    try:
        return f"{getpass.getuser()} on {platform.node()}"
    except (OSError, KeyError):
        return platform.node()
