"""What a cell gives back: variables and the value of its last expression, sent home or kept here."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import msgspec

from funcx_core.cells.bounded import Bounded, NoRoom
from funcx_core.cells.elements import name_there
from funcx_core.cells.pickling import CellPickler
from funcx_core.cells.rebuild import Arrivals
from funcx_core.cells.running import TOO_LARGE, pickled_last_value
from funcx_core.cells.spec import LAST_VALUE, Bundle, CellOutcome, CellSpec, KeptFacts
from funcx_core.errors import ResultNotSerializable, ResultTooLarge, ValueNotKept
from funcx_endpoint.kept import Manner
from funcx_endpoint.worker import keeping
from funcx_endpoint.worker.place import Place, place
from funcx_endpoint.worker.whereabouts import whereabouts

_TOLD: Final = 64 * 1024
"""Bytes that are left for what is told of a cell."""
_BRIEF: Final = 200
"""Characters of what a value of one element looks like."""
_FEW: Final = 20
"""Columns of it that are told."""
_ADVICE: Final = "Send back a part of it, or save it to a file and send back the path."


def outcome_of(spec: CellSpec, arrivals: Arrivals, value: Any, shown: Bundle | None) -> CellOutcome:
    """Return what goes home of a cell that has ended. `value`: of its last expression.

    Raises:
        NameError: it has not assigned what it was to.
        ResultNotSerializable, ResultTooLarge, ValueNotKept: an output can be neither sent nor kept.
    """
    left: dict[str, str] = {}
    if spec.as_there_are:
        left = {name: "" for name in spec.outputs if name not in arrivals.namespace}
        spec = msgspec.structs.replace(spec, outputs=[name for name in spec.outputs if name not in left])
    _check_assigned(spec, arrivals)
    kept: list[KeptFacts] = []
    try:
        sent = _outputs(spec, arrivals, kept, left)
        last = _last(spec, arrivals, value, len(sent.values), kept)
    except BaseException:
        _forget(kept)
        raise
    return CellOutcome(
        sizes=sent.sizes,
        values=sent.values,
        kept=kept,
        left=left,
        shown=shown,
        value=last.value,
        left_behind=last.left_behind,
        **whereabouts(spec, arrivals),
    )


def _forget(kept: list[KeptFacts]) -> None:
    if (here := place()) is not None:
        for facts in kept:
            here.folder.delete(here.key(facts.name))


# --- variables -------------------------------------------------------------------------------------------------------


def pickle_outputs(spec: CellSpec, arrivals: Arrivals) -> tuple[list[int], bytes]:
    """Return the size of the pickle of each output, and the pickles: for whoever keeps nothing here.

    Raises:
        NameError, ResultNotSerializable, ResultTooLarge: naming the output that is missing or cannot be sent.
    """
    _check_assigned(spec, arrivals)
    sent, over = _pickled(spec.outputs, arrivals, spec.result_limit)
    if over is not None:
        raise ResultTooLarge(f"{_too_large(over, spec.result_limit)}. {_ADVICE}", details={"limit": spec.result_limit})
    return sent.sizes, sent.values


def keep_of_element(spec: CellSpec, arrivals: Arrivals, number: int) -> list[KeptFacts]:
    """Keep what is to stay of one element of a map, and return briefly what is to be known of it.

    Args:
        spec: the cell.
        arrivals: where it has run.
        number: of the element among those of its task.

    Raises:
        ValueNotKept, ResultNotSerializable: a variable cannot be kept. None of this element is, then.
    """
    kept: list[KeptFacts] = []
    try:
        for name in spec.keep:
            kept.append(_kept(name, arrivals, as_name=name_there(name, number)))
    except BaseException:
        _forget(kept)
        raise
    return [_briefly(facts) for facts in kept]


def _kept(name: str, arrivals: Arrivals, *, as_name: str = "") -> KeptFacts:
    if (here := place()) is None:
        raise ValueNotKept(
            f"`{name}` cannot be kept: this endpoint keeps no values.", details={"why": "off", "name": name}
        )
    return keeping.keep(here, as_name or name, arrivals.namespace[name], arrivals)


def _briefly(facts: KeptFacts) -> KeptFacts:
    """Return less of it: there may be a thousand elements in the result of one task."""
    text = "" if facts.shown is None else str(facts.shown.data.get("text/plain", ""))
    shown = Bundle({"text/plain": text if len(text) <= _BRIEF else f"{text[:_BRIEF]}…"})
    return msgspec.structs.replace(facts, columns=facts.columns[:_FEW], shown=shown)


def _check_assigned(spec: CellSpec, arrivals: Arrivals) -> None:
    for option, names in (("-o", spec.outputs), ("--ref", spec.keep)):
        missing = [name for name in names if name not in arrivals.namespace]
        if missing:
            raise NameError(
                f"`{missing[0]}` is named with {option}, but the cell ended without assigning it.", name=missing[0]
            )


class _Sent(NamedTuple):
    sizes: list[int]
    values: bytes


def _outputs(spec: CellSpec, arrivals: Arrivals, kept: list[KeptFacts], left: dict[str, str]) -> _Sent:
    """Keep what is to stay, and what is too large to be sent; leave what cannot be sent, if that may be; return the rest."""
    here = place()
    for name in spec.keep:
        kept.append(_kept(name, arrivals))
    limit = _limit(spec, here)
    wanted = list(spec.outputs)
    while True:
        try:
            sent, over = _pickled(wanted, arrivals, limit)
        except ResultNotSerializable as error:
            name = str(error.details.get("name"))
            if not spec.as_there_are or name not in wanted:
                raise
            wanted.remove(name)
            left[name] = str(error)
            continue
        if over is None:
            return sent
        wanted.remove(over)
        kept.append(_kept_instead(over, arrivals, limit, here))


def _pickled(names: list[str], arrivals: Arrivals, limit: int) -> tuple[_Sent, str | None]:
    """Return the pickles of variables; or, in the second place, the first one for which there is no room."""
    pickler = CellPickler(arrivals, Bounded(limit))
    sizes = []
    for name in names:
        try:
            sizes.append(pickler.add(arrivals.namespace[name]))
        except NoRoom:
            return _Sent([], b""), name
        except Exception as error:  # noqa: BLE001 - pickling runs code of the classes of the user, which may raise anything
            kind = keeping.class_name(arrivals.namespace[name])
            raise ResultNotSerializable(
                f"`{name}` ({kind}) cannot be sent back: {error}", details={"name": name}
            ) from None
    return _Sent(sizes, pickler.getvalue()), None


def _limit(spec: CellSpec, here: Place | None) -> int:
    """Return how many bytes of values may be sent: by what is asked, and by what this endpoint sends back, with what is told of the cell."""
    return spec.result_limit if here is None else min(spec.result_limit, here.most_returned - _TOLD)


def _kept_instead(name: str, arrivals: Arrivals, limit: int, here: Place | None) -> KeptFacts:
    too_large = _too_large(name, limit)
    if here is None:
        raise ResultTooLarge(f"{too_large}. {_ADVICE}", details={"limit": limit})
    try:
        return keeping.keep(here, name, arrivals.namespace[name], arrivals, over=limit)
    except ValueNotKept as error:
        raise ResultTooLarge(
            f"{too_large}, and it cannot be kept: {error} {_ADVICE}", details={"limit": limit}
        ) from None


def _too_large(name: str, limit: int) -> str:
    return f"`{name}` has more than the {limit:,} bytes that come back from this cell"


# --- the value of the last expression --------------------------------------------------------------------------------


class _Last(NamedTuple):
    value: bytes | None = None
    left_behind: str = ""


def _last(spec: CellSpec, arrivals: Arrivals, value: Any, sent: int, kept: list[KeptFacts]) -> _Last:
    here = place()
    value = None if spec.silent else value
    facts = _kept_spare(value, arrivals, here) if spec.keep_value and here is not None else None
    if value is None:
        return _Last()
    room = min(spec.value_limit, _limit(spec, here) - sent)
    try:
        return _Last(pickled_last_value(value, arrivals, room))
    except NoRoom:
        facts = facts or (_kept_spare(value, arrivals, here) if here is not None else None)
        if facts is None:
            return _Last(None, TOO_LARGE)
        kept.append(msgspec.structs.replace(facts, over=room))
        return _Last()
    except Exception as error:  # noqa: BLE001 - any class may refuse to be pickled; it is shown all the same
        return _Last(None, str(error))


def _kept_spare(value: Any, arrivals: Arrivals, here: Place) -> KeptFacts | None:
    try:
        return keeping.keep(here, LAST_VALUE, value, arrivals, manner=Manner.SPARE)
    except (ValueNotKept, ResultNotSerializable):
        return None  # Nobody has asked for it: who does is told that it is not there.
