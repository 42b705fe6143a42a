"""Results that are so large that the service may refuse them: what the agent tells then is written here, where the value is known."""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec

from funcx_core.cells.keeping import code_for
from funcx_core.cells.rebuild import Arrivals
from funcx_core.cells.spec import LAST_VALUE, Bundle, CellOutcome, CellSpec, KeptFacts
from funcx_core.protocol.codec import encode
from funcx_endpoint.if_refused import IfRefused
from funcx_endpoint.worker.keeping import facts_of
from funcx_endpoint.worker.place import Place, place

_TOLD: Final = 64 * 1024
"""Bytes that are left for what is told of a cell beside its values."""


_MOST_TEXT: Final = 10_000


class _Noted(NamedTuple):
    task_id: str
    outcome: bytes | None


def refusable(spec: CellSpec, arrivals: Arrivals, outcome: CellOutcome) -> CellOutcome:
    """Note what is told if the service does not take this outcome; return it with what is needed to find its values here then."""
    global _noted  # noqa: PLW0603 - one task at a time runs in a worker
    here = place()
    if here is None:
        return outcome
    if spec.brings:  # What it brings is here already.
        _noted = _Noted(here.task_id, None)
        return outcome
    if len(outcome.values) + len(outcome.value or b"") < here.most_inline - _TOLD - _size(outcome):
        return outcome
    stay = {facts.name for facts in outcome.kept} | outcome.left.keys()
    names = [name for name in spec.outputs if name not in stay]
    whole = msgspec.structs.replace(outcome, names=names, code=code_for(arrivals))
    _noted = _Noted(here.task_id, encode(_told_instead(arrivals, whole, here)))
    return whole


def _size(outcome: CellOutcome) -> int:
    return len(encode(outcome.shown))


def _told_instead(arrivals: Arrivals, whole: CellOutcome, here: Place) -> CellOutcome:
    found = arrivals.namespace
    facts = [
        facts_of(name, found[name], size, kept_seconds=here.folder.lifetime)
        for name, size in zip(whole.names, whole.sizes, strict=True)
    ]
    told = msgspec.structs.replace(whole, sizes=[], values=b"", code=b"")
    if whole.value is not None and len(whole.value) > here.most_inline // 4:
        told = msgspec.structs.replace(told, value=None)
        size, seconds = len(whole.value), here.folder.lifetime
        facts.append(KeptFacts(name=LAST_VALUE, size=size, kept_seconds=seconds, shown=whole.shown))
    if whole.shown is not None and _size(whole) > here.most_inline // 4:
        told = msgspec.structs.replace(told, shown=_short(whole.shown))
        facts = [msgspec.structs.replace(one, shown=None) if one.name == LAST_VALUE else one for one in facts]
    return msgspec.structs.replace(told, names=[one.name for one in facts], kept=[*whole.kept, *facts])


def _short(shown: Bundle) -> Bundle:
    """Return the beginning of what the last expression looks like, for where all of it is too much."""
    text = str(shown.data.get("text/plain", ""))[:_MOST_TEXT]
    return Bundle({"text/plain": f"{text}\n(All that it shows is more than the service takes.)".lstrip()})


def if_refused() -> bytes:
    """Return what to write beside the result of the running task; nothing if it cannot stay here."""
    here = place()
    if here is None:
        return b""
    if _noted.task_id != here.task_id:
        return encode(IfRefused(here.owner))
    return b"" if _noted.outcome is None else encode(IfRefused(here.owner, _noted.outcome))


_noted = _Noted("", None)
