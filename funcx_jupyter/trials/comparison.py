"""What came of a cell that ran here and there: one table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from funcx_jupyter.display import words
from funcx_jupyter.display.tables import Table
from funcx_jupyter.session.outcome import Finished, LeftBehind
from funcx_jupyter.trials.differences import TOLERANCE, Difference, Verdict, compare, compare_text

VALUE = "value"
PRINTED = "printed"
OUTCOME = "outcome"
_SHORT = 40


class Side(msgspec.Struct, frozen=True):
    """How the cell went at one end.

    Attributes:
        where: what that end is called.
        finished: what it gave back; None if it raised.
        error: what it raised.
        printed: to stdout.
        seconds: that it ran, as far as is known.
        total: until its result was here.
    """

    where: str
    finished: Finished | None
    error: BaseException | None
    printed: str
    seconds: float
    total: float


class Comparison:
    """Two runs of one cell. Shows itself as a table.

    >>> found.same, found.close      # nothing differs; nothing but the last digits does
    >>> found.differences            # {'y': Difference(...)}, without what is equal
    >>> found.here, found.there      # each with finished, error, printed, seconds

    Attributes:
        here, there: the two runs.
        found: how each thing compares, by its name: ``value``, the variables named with -o, ``printed``.
    """

    def __init__(self, here: Side, there: Side) -> None:
        self.here = here
        self.there = there
        self.found = _found(here, there)

    @property
    def differences(self) -> dict[str, Difference]:
        """What is not equal."""
        return {name: one for name, one in self.found.items() if one.verdict is not Verdict.EQUAL}

    @property
    def same(self) -> bool:
        """Whether everything is equal to the last bit."""
        return not self.differences

    @property
    def close(self) -> bool:
        """Whether nothing differs by more than the tolerance."""
        return all(one.verdict is Verdict.CLOSE for one in self.differences.values())

    def _table(self) -> Table:
        rows: list[Sequence[str]] = [
            (name, _looks(self.here, name), _looks(self.there, name), str(one)) for name, one in self.found.items()
        ]
        rows.append(("time", f"{words.span(self.here.seconds)} s", self._time_there(), self._factor()))
        return Table(("", self.here.where, self.there.where, TOLERANCE), rows, "")

    def _time_there(self) -> str:
        return f"{words.span(self.there.seconds)} s (with the way {words.span(self.there.total)} s)"

    def _factor(self) -> str:
        if not self.here.seconds or not self.there.seconds:
            return ""
        faster = self.here.seconds / self.there.seconds
        place, factor = (self.there.where, faster) if faster >= 1 else (self.here.where, 1 / faster)
        return f"{place} is {factor:.1f} times as fast"

    def __repr__(self) -> str:
        return repr(self._table())

    def _repr_html_(self) -> str:
        return self._table()._repr_html_()


def _found(here: Side, there: Side) -> dict[str, Difference]:
    if here.finished is None or there.finished is None:
        found = {OUTCOME: _outcomes(here, there)}
    else:
        found = _outputs(here.finished.outputs, there.finished.outputs)
        if here.finished.value is not None or there.finished.value is not None:
            found = {VALUE: _values(here.finished, there.finished), **found}
    if here.printed or there.printed:
        found[PRINTED] = compare_text(here.printed, there.printed)
    return found


def _outputs(here: dict[str, Any], there: dict[str, Any]) -> dict[str, Difference]:
    one_only = Difference(Verdict.DIFFERENT, "it came back from one of them only")
    return {
        name: compare(here[name], there[name]) if name in here and name in there else one_only
        for name in dict.fromkeys([*here, *there])
    }


def _values(here: Finished, there: Finished) -> Difference:
    if isinstance(here.value, LeftBehind) and isinstance(there.value, LeftBehind):
        return compare_text(_text(here), _text(there))
    return compare(here.value, there.value)


def _text(finished: Finished) -> str:
    return "" if finished.shown is None else str(finished.shown.data.get("text/plain", ""))


def _outcomes(here: Side, there: Side) -> Difference:
    ours, theirs = _raised(here.error), _raised(there.error)
    if ours == theirs:
        return Difference(Verdict.EQUAL)
    return Difference(Verdict.DIFFERENT, "one of them failed" if not (ours and theirs) else "they failed differently")


def _raised(error: BaseException | None) -> str:
    return "" if error is None else f"{type(error).__name__}: {error}".rstrip(": ")


def _looks(side: Side, name: str) -> str:
    if side.error is not None and name != PRINTED:
        return _cut(_raised(side.error))
    if name == PRINTED:
        count = len(side.printed.splitlines())
        return f"{count:,} line{'' if count == 1 else 's'}"
    if side.finished is None:
        return ""
    if name == VALUE:
        return _cut(_text(side.finished))
    if name not in side.finished.outputs:
        return "finished" if name == OUTCOME else ""
    return _cut(_represented(side.finished.outputs[name]))


def _represented(value: Any) -> str:
    try:
        return repr(value)
    except Exception:  # noqa: BLE001 - it runs code of the user's classes, which may raise anything
        return f"<{type(value).__name__}>"


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHORT else f"{line[: _SHORT - 1]}…"
