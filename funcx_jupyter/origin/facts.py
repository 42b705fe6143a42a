"""What the author of a cell had when it was sent: hashes of code and inputs, seeds, the commit. Pure."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from typing import Final

from funcx_core.cells.spec import CellOutcome, CellSpec
from funcx_core.protocol.codec import encode

_SEEDING: Final = frozenset(
    {
        "seed",
        "manual_seed",
        "manual_seed_all",
        "default_rng",
        "RandomState",
        "Random",
        "set_seed",
        "PRNGKey",
        "SeedSequence",
    }
)
_SEED_ARGUMENTS: Final = frozenset({"seed", "random_state"})
_MOST_SEEDS: Final = 8
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


def seeds_of(source: str) -> list[str]:
    """Return the seeds that a cell sets as it is written, such as ``random.seed(4)`` and ``random_state=7``."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return []
    return list(dict.fromkeys(_seeds(tree)))[:_MOST_SEEDS]


def _seeds(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if name in _SEEDING and node.args and _is_plain(node.args[0]):
            yield f"{ast.unparse(node.func)}({ast.unparse(node.args[0])})"[:80]
        yield from (
            f"{keyword.arg}={ast.unparse(keyword.value)}"
            for keyword in node.keywords
            if keyword.arg in _SEED_ARGUMENTS and _is_plain(keyword.value)
        )


def _is_plain(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, int | str) and len(str(node.value)) <= 40  # noqa: PLR2004 - a number, not a text


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
        ("container", own.get("container", "")),
        ("seed", own.get("seed", "")),
        ("commit", own.get("commit", "")),
    ]
    return tuple((name, value) for name, value in lines if value)
