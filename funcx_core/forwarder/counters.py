"""What a forwarder counts, for metrics and for tests."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Counters:
    """Totals since the start of this process.

    Attributes:
        leases_sent: leases sent to endpoints, every attempt counted.
        results_accepted: results that ended a task.
        late_results: results of tasks or attempts that were over; dropped and acknowledged.
        leases_returned: leases given back, or found not to be held any more.
        tasks_lost: leases that had started and were lost with what ran them.
        protocol_errors: messages that could not be decoded or broke the protocol; dropped.
        foreign_messages: messages from a peer that is not, or no longer, the endpoint's session; dropped.
        registrations: sessions opened.
        commit_failures: writes to the store that had to be tried again.
        outcomes_dropped: messages to web services that found their topic full.
    """

    leases_sent: int = 0
    results_accepted: int = 0
    late_results: int = 0
    leases_returned: int = 0
    tasks_lost: int = 0
    protocol_errors: int = 0
    foreign_messages: int = 0
    registrations: int = 0
    commit_failures: int = 0
    outcomes_dropped: int = 0
