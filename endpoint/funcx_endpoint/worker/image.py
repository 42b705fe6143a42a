"""Which image the container of this worker was made from. The manager finds it out, and tells when the worker starts."""

from __future__ import annotations

_identity = ""


def install(identity: str) -> None:
    """This worker runs in a container of that image; empty if in none, or if nobody knows."""
    global _identity  # noqa: PLW0603 - one worker per process
    _identity = identity


def image() -> str:
    """Return what names the image and no other, such as ``sha256:…``; empty if there is none, or nobody knows."""
    return _identity
