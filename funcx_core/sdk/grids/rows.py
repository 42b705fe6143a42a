"""Points and their outcomes as a tidy table: a row for each point, a column for each thing that is known of it. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from funcx_core.sdk.grids.outcomes import Outcome

RESULT: Final = "result"
"""The column of results that are one value."""
KNOWN: Final[dict[str, Callable[[Outcome], Any]]] = {
    "state": lambda outcome: outcome.state.value,
    "error": lambda outcome: None if outcome.failed is None else outcome.failed.line,
    "attempts": lambda outcome: outcome.attempts,
    "queue": lambda outcome: None if outcome.run is None else outcome.run.queue,
    "run": lambda outcome: None if outcome.run is None else outcome.run.run,
    "task_id": lambda outcome: None if outcome.run is None else str(outcome.run.task_id),
}
"""What is told of every point beside its parameters and its result. `queue` and `run` are seconds."""


def spread(value: Any) -> dict[str, Any]:
    """Return a result as columns: the fields of a dict, a named tuple or a dataclass; anything else is one column."""
    if isinstance(value, dict | Mapping):  # The first is fast, and usual.
        return {str(name): each for name, each in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return dict(value._asdict())
    return {RESULT: value}


class Layout:
    """The columns of a table, in order: parameters, results as they first appear, what is known of each point, the endpoint.

    No two columns have the same name. Parameters keep theirs; a result that is called as one of them gets the suffix ``_result``,
    and what is known is called ``_state`` and so on if `state` is a parameter or a result.

    Args:
        names: of the parameters.
        results: the results, spread.
    """

    def __init__(self, names: tuple[str, ...], results: Iterable[Mapping[str, Any]]) -> None:
        self.names = names
        self.results: dict[str, str] = {}
        for result in results:
            for name in result:
                if name not in self.results:
                    self.results[name] = self._free(name, suffix="_result")
        self.known = {name: self._free(name, prefix="_") for name in (*KNOWN, "endpoint")}

    def _free(self, name: str, *, prefix: str = "", suffix: str = "") -> str:
        taken = {*self.names, *self.results.values()}
        while name in taken:
            name = f"{prefix}{name}{suffix}"
        return name

    @property
    def columns(self) -> list[str]:
        """All of them."""
        return [*self.names, *self.results.values(), *self.known.values()]


def rows(
    names: tuple[str, ...], pairs: Iterable[tuple[tuple[Any, ...], Outcome]], endpoint: str
) -> tuple[Layout, list[dict[str, Any]]]:
    """Return the columns, and a dict of them for each point.

    Args:
        names: of the parameters.
        pairs: values of the parameters at each point, and its outcome.
        endpoint: where they run.
    """
    known = [(values, outcome, _spread(outcome)) for values, outcome in pairs]
    layout = Layout(names, (result for _, _, result in known))
    return layout, [_row(layout, values, outcome, result, endpoint) for values, outcome, result in known]


def _spread(outcome: Outcome) -> dict[str, Any]:
    return spread(outcome.value) if outcome.state == "succeeded" else {}


def _row(
    layout: Layout, values: tuple[Any, ...], outcome: Outcome, result: Mapping[str, Any], endpoint: str
) -> dict[str, Any]:
    row = dict(zip(layout.names, values, strict=True))
    for name, column in layout.results.items():
        row[column] = result.get(name)
    for name, tell in KNOWN.items():
        row[layout.known[name]] = tell(outcome)
    row[layout.known["endpoint"]] = endpoint
    return row
