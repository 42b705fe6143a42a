"""What an endpoint understands that earlier ones did not: it says so when it registers, and the service asks nothing else of it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from funcx_core.errors import RemoteProtocolError
from funcx_core.protocol.blob import is_reference, without_blobs
from funcx_core.protocol.payload import RANGE

LARGE_ARGUMENTS: Final = "large_arguments"
"""Payloads that stand for a blob."""
STAGED_INPUTS: Final = "staged_inputs"
"""Payloads with blobs beside them."""
STAGED_RANGES: Final = "staged_ranges"
"""Ranges of maps with blobs beside them."""

FEATURES: Final = (LARGE_ARGUMENTS, STAGED_INPUTS, STAGED_RANGES)
"""What endpoints of this version understand."""

MOST_FEATURES: Final = 64
MOST_LETTERS: Final = 64

_IN_WORDS: Final = {
    LARGE_ARGUMENTS: "arguments that are too large to travel with their task",
    STAGED_INPUTS: "inputs that are staged in the service's store",
    STAGED_RANGES: "maps with inputs that are staged in the service's store",
}


def feature_needed(payload: bytes) -> str:
    """Return what an endpoint has to understand that is sent this payload, which names blobs."""
    if is_reference(payload):
        return LARGE_ARGUMENTS
    try:
        inner, _ = without_blobs(payload)
    except RemoteProtocolError:
        return STAGED_INPUTS  # It is refused for what it is.
    return STAGED_RANGES if inner.startswith(RANGE) else STAGED_INPUTS


def does_without(name: str, version: str, feature: str, known: Collection[str] | None) -> str:
    """Return why an endpoint cannot be sent what needs a feature, and what to do; nothing if it can.

    Args:
        name: of the endpoint.
        version: of funcX there; empty if it did not say.
        feature: what is needed.
        known: what the endpoint said; None if it has not registered since services ask.
    """
    if known is None or feature in known:
        return ""
    return (
        f"Endpoint '{name}' runs funcX {version or 'of an earlier version'}, which cannot take {_IN_WORDS[feature]}. Run "
        f"`pip install -U 'funcx-workbench[endpoint]'` on its machine, then `funcx-endpoint restart {name}`; or send less."
    )
