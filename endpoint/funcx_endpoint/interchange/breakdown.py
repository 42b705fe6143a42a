"""Where the tasks of an endpoint are, by manager and by whose they are. Pure."""

from __future__ import annotations

import math
from collections import Counter

from funcx_endpoint.control.messages import ManagerReport, QueueReport
from funcx_endpoint.interchange.records import ManagerRecord
from funcx_endpoint.interchange.state import Interchange


def manager_report(record: ManagerRecord, now: float) -> ManagerReport:
    """Return what there is to say of a manager."""
    return ManagerReport(
        manager_id=record.manager_id,
        block_id=record.block_id,
        hostname=record.hostname,
        workers=record.capacity,
        leased=record.leased,
        is_held=record.is_held,
        slots=record.occupied,
        container=record.container,
        seconds_left=None if record.ends_at == math.inf else max(record.ends_at - now, 0.0),
        is_open=record.is_open,
        is_kept_free=record.reserved_for is not None,
        load=record.load,
        memory_free=record.memory_free,
    )


def get_status_report(interchange: Interchange) -> list[ManagerReport]:
    """Return what there is to say of every manager."""
    return [manager_report(record, interchange.now) for record in interchange.managers]


def queue_report(interchange: Interchange) -> list[QueueReport]:
    """Return how many tasks of each owner and priority wait, and how many are with managers; those with most first."""
    counts: Counter[tuple[str, int, bool]] = Counter()
    for held in interchange.open_leases():
        options = held.task.options
        counts[held.task.owner, 0 if options is None else options.priority, held.manager is None] += 1
    lanes = {(owner, priority) for owner, priority, _ in counts}
    found = [
        QueueReport(
            owner=owner,
            priority=priority,
            waiting=counts[owner, priority, True],
            leased=counts[owner, priority, False],
        )
        for owner, priority in lanes
    ]
    return sorted(found, key=lambda one: (-one.waiting - one.leased, one.owner, -one.priority))
