"""Signing in as a person: a page in a browser, and a code to paste."""

from __future__ import annotations

import platform
import sys
from typing import Any, Final

from funcx_core.errors import AuthRequired

_NO_TERMINAL: Final = (
    "Signing in needs somebody who pastes a code, and there is no terminal here. Run `funcx login` in one, "
    "or set FUNCX_SDK_CLIENT_ID and FUNCX_SDK_CLIENT_SECRET."
)


def sign_in(auth_client: Any, scopes: list[str]) -> Any:
    """Show where to sign in, read the code that is shown there, and return the answer of Globus Auth with the tokens.

    Args:
        auth_client: a `globus_sdk.NativeAppAuthClient`.
        scopes: what to ask for.

    Raises:
        AuthRequired: there is no terminal, no code was given, or Globus Auth does not take it.
    """
    from globus_sdk import AuthAPIError  # noqa: PLC0415 - only who signs in by Globus pays for it

    if not _somebody_is_there():
        raise AuthRequired(_NO_TERMINAL)
    auth_client.oauth2_start_flow(
        scopes,
        redirect_uri=f"{auth_client.base_url.rstrip('/')}/v2/web/auth-code",
        refresh_tokens=True,
        prefill_named_grant=platform.node(),
    )
    address = auth_client.oauth2_get_authorize_url(query_params={"prompt": "login"})
    print(f"Sign in with Globus here:\n\n{address}\n", flush=True)  # noqa: T201 - a person is to read it
    code = _ask("Paste the code that is shown there: ")
    try:
        return auth_client.oauth2_exchange_code_for_tokens(code)
    except AuthAPIError as error:
        raise AuthRequired(
            f"Globus Auth does not take this code ({error.http_status}). Codes serve once and not for long: sign in again."
        ) from None


def _somebody_is_there() -> bool:
    # A notebook's kernel has no terminal, but asks in the browser.
    return "ipykernel" in sys.modules or (sys.stdin is not None and not sys.stdin.closed and sys.stdin.isatty())


def _ask(question: str) -> str:
    try:
        code = input(question).strip()
    except EOFError:
        raise AuthRequired(_NO_TERMINAL) from None
    if not code:
        raise AuthRequired("No code was given. Sign in again, and paste the code that the page shows.")
    return code
