"""Whether a service takes clients and endpoints of this version."""

from __future__ import annotations

import re
from typing import Any, Final
from urllib.parse import urlsplit

from funcx_core import __version__
from funcx_core.errors import RemoteProtocolError, VersionMismatch

_RELEASE: Final = re.compile(r"\s*v?(\d+(?:\.\d+)*)")
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


def check_versions(answer: Any, *, sdk_version: str = __version__, endpoint_version: str | None = None) -> None:
    """Compare with what a service answers to ``GET version?service=all``.

    Args:
        answer: the decoded answer.
        sdk_version: the client's version.
        endpoint_version: the endpoint's; None if there is none to compare.

    Raises:
        VersionMismatch: the service wants a newer one.
        RemoteProtocolError: the answer says nothing about versions.
    """
    pairs = [("funcx", sdk_version, "min_sdk_version")]
    if endpoint_version is not None:
        pairs.append(("funcx-endpoint", endpoint_version, "min_ep_version"))
    for what, version, field in pairs:
        oldest = answer.get(field) if isinstance(answer, dict) else None
        if not isinstance(oldest, str) or _RELEASE.match(oldest) is None:
            raise RemoteProtocolError(
                f"The service does not say which versions it takes ('{field}' is {str(oldest)[:50]!r}). "
                "Is the address right? do_version_check=False skips this question."
            )
        if _release(version) < _release(oldest):
            raise VersionMismatch(
                f"This is {what} {version}, and the service takes {oldest} and later. Install a newer one: pip install -U funcx-workbench"
            )


def are_different_machines(service_address: str, other_address: str) -> bool:
    """Whether two addresses name different hosts, so that they probably belong to different services."""
    first, second = urlsplit(service_address).hostname, urlsplit(other_address).hostname
    return first != second and not {first, second} <= _LOOPBACK


def _release(version: str) -> tuple[int, ...]:
    """Return the numbers of a version without zeros at the end; what follows the release is not compared."""
    found = _RELEASE.match(version)
    numbers = [int(part) for part in found[1].split(".")] if found else []
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)
