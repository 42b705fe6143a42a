"""What an `EndpointPicker` knows and what is chosen. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from funcx_jupyter.display import words
from funcx_jupyter.session.endpoints import Endpoint
from funcx_jupyter.widgets.local_endpoints import LocalEndpoint
from funcx_jupyter.widgets.plain import isolated

MATCHES: Final = "same Python"
UNKNOWN: Final = "Python unknown"


def minor(version: str) -> str:
    """Return ``3.11`` of ``3.11.7``."""
    return ".".join(version.split(".")[:2])


def word(row: Endpoint) -> str:
    """Return the state of an endpoint in a glyph and words."""
    if row.is_online:
        return "● online"
    return "○ offline, never seen" if row.last_seen is None else f"○ offline, last seen {words.ago(row.last_seen)}"


class PickerModel:
    """Endpoints, which of them are of this machine, and the one that is chosen.

    Args:
        python_version: of the kernel, to compare with.
    """

    def __init__(self, python_version: str) -> None:
        self.search = ""
        self.outage = ""
        self.chosen = ""
        self.busy = ""
        self.is_known = False
        self._python = minor(python_version)
        self._rows: list[Endpoint] = []
        self._local: dict[str, LocalEndpoint] = {}
        self._unregistered: list[LocalEndpoint] = []

    # --- what is known -----------------------------------------------------------------------------------------

    def learn(self, rows: Iterable[Endpoint]) -> bool:
        """Take the endpoints that the service lists; returns whether something but the times changed."""
        rows = list(rows)
        before = [_facts(row) for row in self._rows]
        self.outage = ""
        self.is_known = True
        self._rows = rows
        return before != [_facts(row) for row in rows]

    def learn_local(self, local: Iterable[LocalEndpoint]) -> None:
        """Take the endpoints that are configured on this machine."""
        local = list(local)
        self._local = {each.id: each for each in local if each.id}
        self._unregistered = [each for each in local if not each.id]

    def lose_contact(self, reason: str) -> None:
        """The service does not answer. What was known stays."""
        self.outage = reason

    def row(self, endpoint_id: str) -> Endpoint | None:
        """Return an endpoint by its id."""
        return next((row for row in self._rows if row.endpoint_id == endpoint_id), None)

    def find(self, name_or_id: str) -> Endpoint | None:
        """Return an endpoint by name or id; of two with one name, the one that is online."""
        found = [row for row in self._rows if name_or_id in {row.name, row.endpoint_id}]
        return min(found, key=lambda row: not row.is_online, default=None)

    # --- what is in sight --------------------------------------------------------------------------------------

    def known(self) -> list[Endpoint]:
        """Return all endpoints: those of this machine first, then those online, by name."""
        return sorted(self._rows, key=lambda row: (not self.is_local(row), not row.is_online, row.name.lower()))

    def rows(self) -> list[Endpoint]:
        """Return those of them that are asked for."""
        wanted = self.search.lower().split()
        return [row for row in self.known() if all(part in self._searched(row) for part in wanted)]

    def is_local(self, row: Endpoint) -> bool:
        """Whether it is configured on this machine."""
        return row.endpoint_id in self._local

    def not_started(self) -> list[str]:
        """Return the names of endpoints of this machine that the service has never heard of."""
        return [each.name for each in self._unregistered]

    def badge(self, row: Endpoint) -> str:
        """Return how the endpoint's Python goes with the kernel's, in words."""
        if not row.python_version:
            return UNKNOWN
        same = minor(row.python_version) == self._python
        return (
            f"✓ Python {minor(row.python_version)}"
            if same
            else f"≠ Python {minor(row.python_version)}, here {self._python}"
        )

    def load(self, row: Endpoint) -> str:
        """Return its workers and its queue in words; nothing if it is offline."""
        if not row.is_online:
            return ""
        return f"{row.idle_workers:,} of {row.workers:,} workers free · {row.pending_tasks:,} waiting"

    def label(self, row: Endpoint) -> str:
        """Return a line to choose it by."""
        parts = [
            isolated(row.name),
            word(row),
            self.load(row),
            self.badge(row),
            "this machine" if self.is_local(row) else "",
        ]
        return " · ".join(part for part in parts if part)

    # --- what may be done --------------------------------------------------------------------------------------

    def why_not_use(self, row: Endpoint | None) -> str:
        """Return why cells cannot be sent there now, or nothing."""
        if row is None:
            return "Choose an endpoint first."
        if row.is_online:
            return ""
        seen = "never seen" if row.last_seen is None else f"last seen {words.ago(row.last_seen)}"
        host = f", host {row.hostname}" if row.hostname else ""
        how = "Press Start." if self.is_local(row) else f"On its machine: `funcx-endpoint start {row.name}`."
        return f"{row.name} is offline ({seen}{host}). {how}"

    def why_not_start(self, row: Endpoint | None) -> str:
        """Return why it cannot be started from here, or nothing."""
        return self._why_not_command(row) or (f"{row.name} runs already." if row is not None and row.is_online else "")

    def why_not_stop(self, row: Endpoint | None) -> str:
        """Return why it cannot be stopped from here, or nothing."""
        if reason := self._why_not_command(row):
            return reason
        return f"{row.name} does not run." if row is not None and not row.is_online else ""

    def _why_not_command(self, row: Endpoint | None) -> str:
        if row is None:
            return "Choose an endpoint first."
        if self.busy:
            return self.busy
        if not self.is_local(row):
            return f"{row.name} is not of this machine: start and stop it where it is configured."
        return ""

    def _searched(self, row: Endpoint) -> str:
        return f"{self.label(row)} {row.hostname} {row.endpoint_id}".lower()


def _facts(row: Endpoint) -> tuple[object, ...]:
    return (row.endpoint_id, row.name, row.is_online, row.workers, row.idle_workers, row.pending_tasks)
