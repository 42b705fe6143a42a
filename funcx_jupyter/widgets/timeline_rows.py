"""In which row of a timeline each task is drawn: that of the worker that ran it. Pure.

Tasks of agents that do not name their workers are drawn in *lanes*: filled in the order in which tasks started, each in the lowest one that
was free. That is as many lanes as tasks ran at once, which is what workers look like.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import msgspec

from funcx_jupyter.widgets.task_rows import host_of

if TYPE_CHECKING:
    from funcx_jupyter.widgets.timeline_model import Bar, TimelineModel


class Group(msgspec.Struct, frozen=True):
    """Rows `first` to `first + count - 1` are of one node of an endpoint; `name` says which, as shortly as it can."""

    name: str
    first: int
    count: int


class Rows(msgspec.Struct, frozen=True):
    """Where bars are drawn.

    Attributes:
        names: of the rows, whole: endpoint, node and worker.
        labels: of the rows within their group.
        groups: of the rows, in order.
        of: number of the row of each bar; -1 for one that has not run.
        ends: until when each bar may be drawn: the way back of a result takes no worker, and ends in the picture where the next task begins.
    """

    names: list[str]
    labels: list[str]
    groups: list[Group]
    of: list[int]
    ends: list[float]

    def group_of(self) -> list[str]:
        """Return for each row the name of its group if it is the first of it, else nothing."""
        starts = {group.first: group.name for group in self.groups}
        return [starts.get(row, "") for row in range(len(self.names))]


def rows_of(model: TimelineModel, bars: Sequence[Bar], now: float) -> Rows:
    """Return the rows of bars: endpoints by name, their nodes by name, workers by number; lanes after them."""
    places: dict[tuple[str, bool, str], list[int]] = {}
    for number, bar in enumerate(bars):
        if bar.run(now) is not None:
            is_lane = bar.worker < 0
            places.setdefault((model.endpoint(bar), is_lane, "" if is_lane else bar.node), []).append(number)
    nodes = _shortened({(endpoint, node) for endpoint, is_lane, node in places if not is_lane})
    of = [-1] * len(bars)
    names: list[str] = []
    labels: list[str] = []
    groups: list[Group] = []
    for place in sorted(places):
        endpoint, is_lane, node = place
        first, members = len(names), places[place]
        if is_lane:
            numbers = [slot + 1 for slot in _slots([bars[number].run(now) or (0.0, 0.0) for number in members])]
        else:
            numbers = [bars[number].worker for number in members]
        present = sorted(set(numbers))
        row_of = {each: first + row for row, each in enumerate(present)}
        for number, each in zip(members, numbers, strict=True):
            of[number] = row_of[each]
        whole = [endpoint, *([] if is_lane else [nodes[endpoint, node]])]
        names += [" · ".join([*whole, f"{'lane' if is_lane else 'worker'} {each}"]) for each in present]
        labels += [str(each) for each in present]
        is_alone = len([one for one in places if one[0] == endpoint]) == 1
        groups.append(Group(endpoint if is_alone else " · ".join(whole), first, len(present)))
    return Rows(names, labels, groups, of, _ends(bars, of, now))


def _shortened(nodes: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """Return the names of nodes by endpoint and node: that of the host alone, where there is one manager on it."""
    hosts: dict[tuple[str, str], int] = {}
    known = list(nodes)
    for endpoint, node in known:
        host = (endpoint, host_of(node))
        hosts[host] = hosts.get(host, 0) + 1
    return {
        (endpoint, node): host_of(node) if hosts[endpoint, host_of(node)] == 1 else node for endpoint, node in known
    }


def _ends(bars: Sequence[Bar], of: Sequence[int], now: float) -> list[float]:
    ends = [bar.edges(now)[-1] for bar in bars]
    following: dict[int, float] = {}
    for number in sorted(range(len(bars)), key=lambda number: bars[number].run(now) or (0.0, 0.0), reverse=True):
        span = bars[number].run(now)
        if span is not None:
            ends[number] = max(span[1], min(ends[number], following.get(of[number], ends[number])))
            following[of[number]] = span[0]
    return ends


def _slots(spans: Sequence[tuple[float, float]]) -> list[int]:
    """Return for each span the lowest place at which no earlier one still lasts."""
    found = [0] * len(spans)
    free: list[int] = []
    busy: list[tuple[float, int]] = []
    count = 0
    for number in sorted(range(len(spans)), key=lambda number: spans[number]):
        begin, end = spans[number]
        while busy and busy[0][0] <= begin:
            heapq.heappush(free, heapq.heappop(busy)[1])
        if not free:
            heapq.heappush(free, count)
            count += 1
        found[number] = heapq.heappop(free)
        heapq.heappush(busy, (end, found[number]))
    return found
