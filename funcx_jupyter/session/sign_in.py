"""What a notebook says when the service does not know who asks. Pure, but for the clock."""

from __future__ import annotations

import time

from funcx_core.errors import AuthRequired
from funcx_core.sdk.settings import Settings
from funcx_jupyter.display import words
from funcx_jupyter.errors import AuthError


def of_sign_in(error: AuthRequired, settings: Settings) -> AuthError:
    """Return what is wrong with the sign-in at a service, and what to type."""
    host = settings.service_address.removesuffix("/v2")
    if error.expired_at is not None:
        ago = words.ago(max(0.0, time.time() - error.expired_at))
        return AuthError(f"Your sign-in for {host} expired {ago}. Run `%funcx login`.")
    if not settings.token and settings.authorizer is None:
        return AuthError(f"You are not signed in to {host}. Run `%funcx login`.")
    cause = str(error).split(". ")[0].rstrip(".")
    return AuthError(f"Your sign-in for {host} is not accepted ({cause[:1].lower()}{cause[1:]}). Run `%funcx login`.")
