"""The table of clients and features, filled while the tests run and printed when they end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tests.conformance.clients import CLIENTS, FEATURES, Client


@dataclass(frozen=True)
class Outcome:
    """How a feature went with a client."""

    works: bool
    reason: str


class Table:
    """One column for each client that was tried."""

    def __init__(self) -> None:
        self._columns: dict[str, dict[str, Outcome]] = {}

    def add(self, client: Client, outcomes: dict[str, Outcome]) -> None:
        self._columns[client.name] = outcomes

    def markdown(self) -> list[str]:
        """The lines of the table: ✓ works, ✗ does not, — cannot be; and then why it cannot be."""
        clients = [client for client in CLIENTS if client.name in self._columns]
        if not clients:
            return []
        head = [
            "",
            *(client.name.removeprefix("funcx-").replace("globus-compute-sdk-", "g-c-sdk ") for client in clients),
        ]
        rows = [[text, *(self._mark(client, name) for client in clients)] for name, text in FEATURES.items()]
        width = max(len(row[0]) for row in rows)
        lines = [_line(head, width), _line(["-" * width, *(":-:" for _ in clients)], width)]
        lines += [_line(row, width) for row in rows]
        notes = {f"— {name}, {client.name}: {why}" for client in clients for name, why in client.cannot.items()}
        return [*lines, "", *sorted(notes)]

    def _mark(self, client: Client, name: str) -> str:
        if name in client.cannot:
            return "—"
        outcome = self._columns[client.name].get(name)
        return "✓" if outcome is not None and outcome.works else "✗"


def _line(cells: list[str], width: int) -> str:
    return "| " + " | ".join([cells[0].ljust(width), *(cell.center(14) for cell in cells[1:])]) + " |"


TABLE: Final = Table()
