"""Whether somebody is alive is judged by the monotonic clock: where that is decided, the wall clock only makes stamps.

A stamp is handed on as it is. Whoever adds to it, compares it or takes a difference judges by a clock that may jump.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LIVENESS = (
    "funcx_core/forwarder",
    "funcx_core/transport",
    "funcx_core/queues",
    "funcx_core/sdk/stream*.py",
    "funcx_core/sdk/ledger.py",
    "funcx_core/sdk/conditions.py",
    "endpoint/funcx_endpoint/blocks",
    "endpoint/funcx_endpoint/executors",
    "endpoint/funcx_endpoint/interchange",
    "endpoint/funcx_endpoint/lifecycle.py",
    "endpoint/funcx_endpoint/manager",
    "endpoint/funcx_endpoint/processes.py",
    "endpoint/funcx_endpoint/strategies",
    "endpoint/funcx_endpoint/worker",
)
WALL = {("time", "time"), ("time", "time_ns"), ("datetime", "now"), ("datetime", "utcnow")}
NOT_LIVENESS = {
    "endpoint/funcx_endpoint/worker/handover.py",  # the age of files, which a lock decides about in the end
}


def modules() -> list[Path]:
    found = [path for place in LIVENESS for path in ROOT.glob(place)]
    files = (file for path in found for file in ([path] if path.is_file() else path.rglob("*.py")))
    return sorted(file for file in files if file.relative_to(ROOT).as_posix() not in NOT_LIVENESS)


def is_wall(node: ast.AST) -> bool:
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
        return False
    owner = node.func.value
    return isinstance(owner, ast.Name) and (owner.id, node.func.attr) in WALL


def judged(tree: ast.AST) -> Iterator[int]:
    """Yield the lines on which a wall clock is calculated with or compared."""
    for node in ast.walk(tree):
        if isinstance(node, ast.BinOp | ast.Compare | ast.AugAssign):
            yield from (part.lineno for part in ast.iter_child_nodes(node) if is_wall(part))  # type: ignore[attr-defined]


def test_the_places_are_there() -> None:
    assert [place for place in LIVENESS if not list(ROOT.glob(place))] == []
    assert len(modules()) > 50


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_liveness_is_judged_by_a_wall_clock(path: Path) -> None:
    """F32"""
    assert list(judged(ast.parse(path.read_text(encoding="utf-8")))) == []


@pytest.mark.parametrize(
    ("source", "is_found"),
    [
        ("late = time.time() - heard > 3", True),
        ("if time.time_ns() > end: pass", True),
        ("beat(stamp=time.time_ns())", False),
        ("late = time.monotonic() - heard > 3", False),
    ],
)
def test_what_is_found(source: str, is_found: bool) -> None:
    assert bool(list(judged(ast.parse(source)))) is is_found
