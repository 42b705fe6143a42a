"""Posting a form to a funcX service, as OAuth2 wants it. What is sent may be a secret, so no redirect is followed."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import urlencode

from funcx_core.errors import ServiceUnavailable
from funcx_core.sdk.certificates import raise_if_untrusted, trusted

_TIMEOUT: Final = 30.0
_NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})


def post_form(url: str, fields: Mapping[str, str], headers: Mapping[str, str] = _NO_HEADERS) -> tuple[int, bytes]:
    """Return status and body of the answer. `url` is of an address that was checked when it was configured.

    Raises:
        ServiceUnavailable: there was no answer.
    """
    request = urllib.request.Request(  # noqa: S310 - http(s), as said above
        url, urlencode(fields).encode(), {**headers, "Content-Type": "application/x-www-form-urlencoded"}
    )
    try:
        with _opener(url).open(request, timeout=_TIMEOUT) as reply:
            return reply.status, reply.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()
    except OSError as error:
        raise_if_untrusted(url, getattr(error, "reason", error))
        raise ServiceUnavailable(
            f"Cannot reach {url} ({getattr(error, 'reason', error)}). Is the service up?"
        ) from None


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A secret goes where it was meant to go, and nowhere else."""

    def redirect_request(self, *_: Any) -> None:
        """Follow nothing."""


def _opener(url: str) -> urllib.request.OpenerDirector:
    tls = urllib.request.HTTPSHandler(context=trusted(url))
    return urllib.request.build_opener(_NoRedirect, urllib.request.ProxyHandler({}), tls)
