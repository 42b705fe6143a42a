"""Providers that configurations of earlier years name, and that Parsl does not have any more."""

from __future__ import annotations

from typing import Final

_GONE: Final = {
    "AdHocProvider": "Start an endpoint on each of the machines instead; it needs no scheduler.",
    "CobaltProvider": "The machines that had Cobalt were switched off; their successors take PBSProProvider.",
    "JetstreamProvider": "Start the endpoint on an instance of yours, with a LocalProvider.",
}


def what_became_of(text: str) -> str:
    """Return one line for people about the first such provider that a text names; nothing if it names none."""
    name = next((name for name in _GONE if name in text), None)
    return f"{name} is not in Parsl any more. {_GONE[name]}" if name else ""
