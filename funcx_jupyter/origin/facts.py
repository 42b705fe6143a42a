"""What the author of a cell had when it was sent: hashes of code and inputs, seeds, the commit. Pure."""

from __future__ import annotations

import hashlib
from typing import Final

from funcx_core.cells.seeds import seeds_of
from funcx_core.cells.spec import CellOutcome, CellSpec
from funcx_core.protocol.codec import encode

_SHORT: Final = 12


def origin_of(spec: CellSpec, commit: str, *, container: str = "") -> dict[str, str]:
    """Return what is known of a cell that is about to be sent.

    Args:
        spec: the cell.
        commit: the git commit of its folder, as `commit.commit_of` tells it; empty for none.
        container: the id of the registered container that it asks for.
    """
    text = spec.text or spec.source.lstrip("\n")
    found = {
        "code": hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest(),
        "inputs": _hash_of_inputs(spec),
        "seed": ", ".join(seeds_of(spec.source)),
        "commit": commit,
        "container": container,
    }
    return {name: value for name, value in found.items() if value}


def _hash_of_inputs(spec: CellSpec) -> str:
    if not spec.values and not spec.streams:
        return ""
    return hashlib.sha256(encode((spec.names, spec.values, spec.streams))).hexdigest()


def told(outcome: CellOutcome) -> tuple[tuple[str, str], ...]:
    """Return what a reader of the notebook may want to know of a result, in names and values."""
    own = outcome.origin
    hashes = [f"{name} {own[name][:_SHORT]}" for name in ("code", "inputs") if own.get(name)]
    lines = [
        ("host", outcome.hostname),
        ("python", " · ".join(filter(None, (outcome.python_version, outcome.platform)))),
        ("processor", outcome.processor),
        ("accelerators", outcome.devices),
        ("packages", ", ".join(" ".join(pair).strip() for pair in sorted(outcome.packages.items()))),
        ("sha256", " · ".join(hashes)),
        ("container", " · ".join(filter(None, (own.get("container"), outcome.image)))),
        ("seed", own.get("seed", "")),
        ("commit", own.get("commit", "")),
    ]
    return tuple((name, value) for name, value in lines if value)
