"""What a map of a cell raises if not all elements have a value: one exception, which has all of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Any, Final, Protocol

from funcx_core.errors import TaskFailed
from funcx_jupyter.errors import CellInterrupted

_MOST_TYPES: Final = 5


class Outcomes(Protocol):
    """What the exceptions tell of."""

    def failed(self) -> list[tuple[Any, BaseException]]:
        """Return the elements that have no value, each with why."""

    def values(self) -> list[Any] | None:
        """Return the values in order, None at the places of elements that have none."""

    def collected(self) -> dict[str, Any]:
        """Return the outputs by name, each in order, None at the places of elements that have none."""


class CellMapFailed(TaskFailed):
    """Some elements of a cell's map failed; all others ran.

    Attributes:
        failed: the elements that have no value, each with its exception.
        results: values of the last expression in order, None at the places of those that have none.
        outputs: the same for each variable named with -o. Nothing was assigned.
    """

    code = "map_failed"

    def __init__(self, message: str, *, task_id: str | None = None, outcomes: Outcomes | None = None) -> None:
        super().__init__(message, task_id=task_id)
        self._outcomes = outcomes

    @property
    def failed(self) -> list[tuple[Any, BaseException]]:
        """See above."""
        return [] if self._outcomes is None else self._outcomes.failed()

    @property
    def results(self) -> list[Any] | None:
        """See above."""
        return None if self._outcomes is None else self._outcomes.values()

    @property
    def outputs(self) -> dict[str, list[Any]]:
        """See above."""
        return {} if self._outcomes is None else self._outcomes.collected()


class CellMapInterrupted(CellInterrupted):
    """The user stopped a cell's map. Attributes as those of `CellMapFailed`: what is complete was kept."""

    def __init__(self, message: str, task_id: str, outcomes: Outcomes) -> None:
        super().__init__(message, task_id)
        self._outcomes = outcomes

    @property
    def failed(self) -> list[tuple[Any, BaseException]]:
        """See `CellMapFailed`."""
        return self._outcomes.failed()

    @property
    def results(self) -> list[Any] | None:
        """See `CellMapFailed`."""
        return self._outcomes.values()

    @property
    def outputs(self) -> dict[str, list[Any]]:
        """See `CellMapFailed`."""
        return self._outcomes.collected()


def in_words(size: int, lines: Sequence[str], first: str, short: str, *, has_output: bool = False) -> str:
    """Return what failed, by type.

    Args:
        size: how many elements there are.
        lines: of each element without a value, why, such as ``ValueError: x is negative``.
        first: the first of those elements, by name.
        short: the map, in four letters.
        has_output: whether they have printed or shown something.
    """
    types = Counter(line.partition(":")[0] for line in lines)
    told = [f"{count:,} {name}" for name, count in types.most_common(_MOST_TYPES)]
    more = len(types) - _MOST_TYPES
    grouped = ", ".join([*told, f"{more} other types"] if more > 0 else told)
    logs = f" `%funcx logs {short}` has what they printed." if has_output else ""
    return (
        f"{len(lines):,} of {size:,} elements failed: {grouped}. The first is {first}: {lines[0]}. "
        f"`%funcx rerun {short} --failed` runs them again; `%funcx result {short}` has the values of the others.{logs}"
    )


def with_traceback(error: CellMapFailed, first: BaseException) -> CellMapFailed:
    """Return the error, told to show itself below the traceback of the first element that failed."""
    error._render_traceback_ = partial(_render, error, first)  # type: ignore[attr-defined]
    return error


def _render(error: CellMapFailed, first: BaseException) -> list[str]:
    render = getattr(first, "_render_traceback_", None)
    lines = list(render()) if render is not None else [f"{type(first).__name__}: {first}"]
    return [*lines, "", f"{type(error).__name__}: {error}"]
