"""Whether a service can be used from here: one finding per question, with what to do where something is wrong."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from email.utils import parsedate_to_datetime
from typing import Any, Final

import msgspec

from funcx_core import __version__
from funcx_core.errors import AuthRequired, FuncxError, NotConfigured, VersionMismatch
from funcx_core.sdk.settings import Settings, load_settings
from funcx_core.sdk.versions import check_versions
from funcx_core.sdk.web import WebClient

_SECONDS: Final = 5.0
_SKEW: Final = 60.0
"""Seconds by which clocks may differ before tokens and times in displays look wrong."""


class Finding(msgspec.Struct, frozen=True):
    """One check. `fix` says what to do; it is empty when all is well."""

    name: str
    found: str
    fix: str = ""


def examine_service() -> list[Finding]:
    """Return what can be found out about the configured service, whatever its state. Takes seconds if it does not answer."""
    try:
        settings = load_settings()
    except NotConfigured as error:
        return [Finding("address", "no service is configured", str(error).partition(". ")[2])]
    except FuncxError as error:
        return [Finding("address", "the settings cannot be read", str(error))]
    with closing(WebClient(settings, timeout=_SECONDS, tries=1)) as web:
        return list(_asked(web, settings))


def _asked(web: WebClient, settings: Settings) -> Iterator[Finding]:
    started = time.monotonic()
    try:
        headers, versions = web.headers("health"), web.get("version", query="service=all")
    except FuncxError as error:
        yield Finding(
            "address",
            f"{settings.service_address}: {error}",
            "Is the address right, and the service up? `funcx up` starts one here.",
        )
        return
    milliseconds = (time.monotonic() - started) * 500  # for two requests
    yield Finding("address", f"{settings.service_address} answers in {milliseconds:.0f} ms")
    for check in (lambda: _version(versions), lambda: _sign_in(web), lambda: _clock(headers)):
        yield _safely(check)


def _safely(check: Callable[[], Finding]) -> Finding:
    try:
        return check()
    except FuncxError as error:
        return Finding("service", "a question went wrong", str(error))


def _version(versions: Any) -> Finding:
    service = str(versions.get("api", "unknown")) if isinstance(versions, dict) else "unknown"
    found = f"this is {__version__}, the service {service}"
    try:
        check_versions(versions)
    except VersionMismatch as error:
        return Finding("version", found, str(error))
    return Finding("version", found)


def _sign_in(web: WebClient) -> Finding:
    try:
        web.settings.require_token()
        name = web.get("authenticate")["username"]
    except AuthRequired as error:
        return Finding("sign-in", str(error), "Run: funcx login")
    return Finding("sign-in", f"you are {name}")


def _clock(headers: dict[str, str]) -> Finding:
    try:
        there = parsedate_to_datetime(headers.get("date", "")).timestamp()
    except ValueError:
        return Finding("clock", "the service does not tell its time")
    ahead = there - time.time()
    if abs(ahead) <= _SKEW:
        return Finding("clock", "agrees with the service's")
    way = "ahead of" if ahead > 0 else "behind"
    return Finding("clock", f"the service's is {abs(ahead):.0f} s {way} this one", "Set both by NTP.")
