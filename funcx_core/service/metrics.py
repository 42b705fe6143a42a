"""What the parts of a service have counted, as Prometheus reads it. Nothing is done before somebody asks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, fields
from typing import Any, Final

import msgspec
from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from funcx_core.forwarder.counters import Counters
from funcx_core.protocol.task import TERMINAL, TaskState
from funcx_core.service.histogram import BOUNDS, Times
from funcx_core.service.http_log import HttpLog
from funcx_core.service.outcomes import Outcomes
from funcx_core.service.rates import Rates
from funcx_core.service.store.base import Store
from funcx_core.service.store.records import Totals

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

_FORWARDER_HELP: Final = "Since the start of the forwarder: see funcx_core/forwarder/counters.py."


class Counted(msgspec.Struct, frozen=True):
    """The parts that have counted something.

    Attributes:
        http: requests.
        rates: requests that were refused.
        outcomes: what became of tasks.
        streams: how many streams are open, when called.
        forwarder: its counters; None if it is elsewhere.
    """

    http: HttpLog
    rates: Rates
    outcomes: Outcomes
    streams: Callable[[], int]
    forwarder: Counters | None = None


class Metrics:
    """All numbers of one service process."""

    def __init__(self, store: Store, counted: Counted) -> None:
        self._store = store
        self._counted = counted
        self._process = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=self._process)
        PlatformCollector(registry=self._process)

    async def text(self) -> bytes:
        """Return everything in Prometheus' text form."""
        totals = await self._store.totals()
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Once([*_of_store(totals), *_of_parts(self._counted)]))
        return generate_latest(registry) + generate_latest(self._process)


class _Once(Collector):
    """Numbers that were collected already."""

    def __init__(self, metrics: list[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics


def _of_store(totals: Totals) -> Iterator[Metric]:
    by_state = Counter({state.value: 0 for state in TaskState if state not in TERMINAL})
    by_endpoint: Counter[str] = Counter()
    for each in totals.open:
        by_state[each.state.value] += each.count
        by_endpoint[each.endpoint_id] += each.count
    yield _by("funcx_tasks_open", "Tasks that have not ended, by state.", "state", by_state)
    yield _by("funcx_queue_depth", "Open tasks by endpoint.", "endpoint_id", by_endpoint)
    yield GaugeMetricFamily("funcx_endpoints", "Endpoints that are registered.", value=totals.endpoints)
    yield GaugeMetricFamily("funcx_endpoints_online", "Endpoints that are connected.", value=totals.endpoints_online)
    yield GaugeMetricFamily("funcx_workers", "Workers of endpoints that are connected.", value=totals.workers)
    yield GaugeMetricFamily("funcx_workers_idle", "Those of them that do nothing.", value=totals.idle_workers)
    yield GaugeMetricFamily("funcx_database_bytes", "Size of the database.", value=totals.database_bytes)
    yield CounterMetricFamily("funcx_tasks_submitted", "Tasks that were accepted.", value=totals.submitted)
    ended = CounterMetricFamily("funcx_tasks_ended", "Tasks that ended, by state.", labels=["state"])
    for state, count in totals.ended.items():
        ended.add_metric([state], count)
    yield ended
    yield CounterMetricFamily("funcx_commits_operations", "Operations in all commits.", value=totals.commit_operations)
    yield _histogram("funcx_commit_seconds", "How long transactions took.", {(): totals.commit_times}, [])


def _of_parts(counted: Counted) -> Iterator[Metric]:
    http = counted.http
    requests = CounterMetricFamily("funcx_http_requests", "HTTP requests.", labels=["method", "route", "status"])
    for (method, route, status), count in http.requests.items():
        requests.add_metric([method, route, str(status)], count)
    yield requests
    by_route: dict[tuple[str, ...], Times] = {(route,): times for route, times in http.times.items()}
    yield _histogram("funcx_http_seconds", "How long HTTP requests took.", by_route, ["route"])
    yield CounterMetricFamily("funcx_http_refused", "Requests that came too fast.", value=counted.rates.refused)
    yield GaugeMetricFamily("funcx_streams", "Streams that are open.", value=counted.streams())
    hops: dict[tuple[str, ...], Times] = {(hop,): times for hop, times in counted.outcomes.hops.items()}
    yield _histogram("funcx_task_seconds", "Where tasks spent their time, of a sample, by hop.", hops, ["hop"])
    if counted.forwarder is not None:
        values = asdict(counted.forwarder)
        for field in fields(counted.forwarder):
            yield CounterMetricFamily(f"funcx_forwarder_{field.name}", _FORWARDER_HELP, value=values[field.name])


def _by(name: str, text: str, label: str, values: Mapping[str, int]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family


def _histogram(name: str, text: str, times: Mapping[tuple[str, ...], Times], labels: list[str]) -> Metric:
    family = HistogramMetricFamily(name, text, labels=labels)
    for key, each in times.items():
        buckets: list[Any] = []
        total = 0
        for bound, count in zip((*map(str, BOUNDS), "+Inf"), each.counts, strict=True):
            total += count
            buckets.append((bound, total))
        family.add_metric(list(key), buckets, sum_value=each.total)
    return family
