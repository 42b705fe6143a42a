"""What a token may be used for."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Scope(StrEnum):
    """One right. A route needs one of them; a token has a set."""

    READ = "read"
    """See one's own functions, endpoints, tasks and results."""
    SUBMIT = "submit"
    """Register functions and containers, submit and cancel tasks, store large values."""
    ENDPOINTS = "endpoints"
    """Register, change, share and delete endpoints."""
    TOKENS = "tokens"
    """Make and revoke tokens and clients, change groups."""


ALL: Final = frozenset(Scope)
