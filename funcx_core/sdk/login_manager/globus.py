"""Authorizers of globus-sdk, as the rest of the SDK may rely on them: made late, safe from any thread, with our errors."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from funcx_core.errors import AuthRequired, ServiceUnavailable

_SERVER_FAULT = 500
_TOO_MANY = 429


class GlobusAuthorizer:
    """An authorizer that is made when its first header is needed: some of globus-sdk's ask for a token at once.

    Args:
        make: makes the authorizer of globus-sdk.
        advice: what to do when Globus Auth gives no token.
        until: until when the token at hand is good, in Unix seconds.
    """

    def __init__(self, make: Callable[[], Any], advice: str, *, until: float | None = None) -> None:
        self._make = make
        self._advice = advice
        self._until = until
        self._made: Any = None
        self._lock = threading.Lock()

    def get_authorization_header(self) -> str | None:
        """Return the header, of a new token if the old one is about to expire.

        Raises:
            AuthRequired: Globus Auth gives no token.
            ServiceUnavailable: it cannot be reached.
        """
        with self._lock, self._knowing_since_when(), errors_of_globus(self._advice):
            if self._made is None:
                self._made = self._make()
            header: str | None = self._made.get_authorization_header()
            return header

    @contextmanager
    def _knowing_since_when(self) -> Iterator[None]:
        try:
            yield
        except AuthRequired as error:
            if self._until is not None and self._until < time.time():
                error.expired_at = self._until
            raise

    def handle_missing_authorization(self) -> bool:
        """The service did not take the token: whether the next header has another one."""
        with self._lock:
            return bool(self._made is not None and self._made.handle_missing_authorization())


@contextmanager
def errors_of_globus(advice: str) -> Iterator[None]:
    """Raise errors of globus-sdk as ours; their text names no token.

    Raises:
        AuthRequired: Globus Auth refuses; the text ends in `advice`.
        ServiceUnavailable: it cannot be reached or has a fault.
    """
    from globus_sdk import AuthAPIError, NetworkError  # noqa: PLC0415 - only who signs in by Globus pays for it

    try:
        yield
    except AuthAPIError as error:
        if error.http_status >= _SERVER_FAULT or error.http_status == _TOO_MANY:
            raise ServiceUnavailable(f"Globus Auth answers {error.http_status}. Try again in a moment.") from None
        raise AuthRequired(f"Globus Auth refuses ({error.http_status} {error.code}). {advice}") from None
    except NetworkError as error:
        raise ServiceUnavailable(
            f"Globus Auth cannot be reached ({type(error).__name__}). Is the network up?"
        ) from None
