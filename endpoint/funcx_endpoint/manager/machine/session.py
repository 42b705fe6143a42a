"""The session with the interchange: what it is told, what it has to hear again, and when it is taken for lost.

Results and losses are kept until they are acknowledged, and said again when a new session has begun; while one begins nothing is
said. What is given back unstarted needs no acknowledgement: a lease that is not named when a session begins is not here.
"""

from __future__ import annotations

from typing import Any, Final

from funcx_core.protocol.endpoint import GiveBack, Results
from funcx_core.protocol.manager import ManagerRegistered, ReportsAck
from funcx_core.protocol.task import Lease, TaskResult
from funcx_endpoint.manager.machine.effects import Effect, Enrol, NoteSafe, Send
from funcx_endpoint.manager.machine.reports import Reports

LONGEST_ANSWER: Final = 5.0
"""Seconds after which a registration that is not answered is repeated; a tenth of a threshold if that is less."""


class Session:
    """One after the other, numbered. `threshold`: seconds of silence after which the interchange is enrolled with again."""

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold
        self._reports = Reports()
        self._returned: list[Lease] = []
        self._mark: tuple[int, list[int]] | None = None
        self._enrolled_at = 0.0
        self._heard_at = 0.0
        self.number = 0
        self.is_registered = False

    @property
    def has_reports(self) -> bool:
        """Whether something that was reported is not acknowledged yet."""
        return bool(self._reports)

    def start(self, now: float) -> None:
        """The manager is up and is about to enrol for the first time."""
        self._heard_at = self._enrolled_at = now

    def begin(self, held: list[Lease]) -> tuple[int, list[Lease]]:
        """Return the number and the leases for a registration that is sent now; its session begins with that."""
        self.number += 1
        self.is_registered = False
        self._returned = []
        self._mark = None
        self._reports.begin_session()
        return self.number, held + self._reports.leases()

    def heard(self, now: float) -> None:
        """Anything came from the interchange."""
        self._heard_at = now

    def silence(self, now: float) -> float:
        """Return for how many seconds nothing was heard."""
        return now - self._heard_at

    def enrol(self, now: float) -> list[Effect]:
        """Begin another session."""
        self.is_registered = False
        self._enrolled_at = now
        return [Enrol()]

    def is_overdue(self, now: float) -> bool:
        """Whether it is time to enrol, or to do so again."""
        if self.is_registered:
            return self.silence(now) > self._threshold
        return now >= self._enrolled_at + min(self._threshold / 10, LONGEST_ANSWER)

    def registered(self, message: ManagerRegistered, now: float) -> list[Effect] | None:
        """The interchange answered: return what it may not have heard; None if the answer is of another session."""
        if message.session != self.number or self.is_registered:
            return None
        self.is_registered = True
        self._heard_at = now
        effects = self.again()
        returned, self._returned = self._returned, []
        if returned:
            effects.append(Send(GiveBack(unstarted=returned)))
        return effects

    def again(self) -> list[Effect]:
        """Say all that is kept once more."""
        return [Send(report) for report in self._reports.again()]

    def acknowledged(self, message: ReportsAck, settled: list[int]) -> list[Effect]:
        """What was reported is safe, so far.

        Args:
            message: how much is.
            settled: for each worker the number up to which all that was dealt to it is answered.
        """
        self._reports.acknowledged(message.count)
        if not self._reports:
            self._mark = None
            return [NoteSafe(settled)]
        effects: list[Effect] = []
        if self._mark is not None and self._mark[0] <= message.count:
            effects.append(NoteSafe(self._mark[1]))
            self._mark = None
        if self._mark is None:
            self._mark = self._reports.sent, settled
        return effects

    def report(self, results: list[TaskResult]) -> list[Effect]:
        """Report these results; the list must not change any more."""
        if not results:
            return []
        self._reports.results(results)
        return [Send(Results(results))] if self.is_registered else []

    def report_lost(self, lost: list[Lease], reason: str, details: dict[str, Any]) -> list[Effect]:
        """Report leases that had started and are lost."""
        if not lost:
            return []
        message = GiveBack(lost=lost, reason=reason, details=details)
        self._reports.lost(message)
        return [Send(message)] if self.is_registered else []

    def give_back(self, unstarted: list[Lease], *, missing_functions: bool = False) -> list[Effect]:
        """Give back leases that have not started."""
        if not unstarted:
            return []
        if self.is_registered:
            return [Send(GiveBack(unstarted=unstarted, missing_functions=missing_functions))]
        self._returned += unstarted
        return []
