"""What a timeline shows: for each task when it passed each hop, and which worker ran it. Pure: no clock, no widget, no service."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median
from typing import Any, Final

import msgspec

from funcx_core.ids import TaskId
from funcx_core.protocol.task import TaskState
from funcx_jupyter.display import words
from funcx_jupyter.widgets.timeline_rows import rows_of

HOPS: Final = ("received", "interchange", "manager", "started", "ended", "completed")
PHASES: Final = ("service", "endpoint", "node", "run", "transfer")
"""What lies between two hops: waiting at the service, at the endpoint and on the node, running, and on the way back."""
_LEVELS: Final = " ▁▂▃▄▅▆▇█"
_WIDTH: Final = 60
_MOST_ROWS: Final = 40
_MOST_OF_NAME: Final = 36
_RUN: Final = PHASES.index("run")


class Bar(msgspec.Struct, frozen=True, kw_only=True):
    """One task. `at` are Unix seconds for each of `HOPS` it has passed, and so rising; it may be shorter.

    `worker` is its number at its `node`; -1 if the endpoint does not say which one it was.
    """

    task_id: TaskId
    title: str = ""
    endpoint_id: str = ""
    function_id: str = ""
    state: TaskState = TaskState.RECEIVED
    at: tuple[float, ...] = ()
    node: str = ""
    worker: int = -1

    @property
    def is_open(self) -> bool:
        """Whether it has not ended."""
        return not self.state.is_terminal

    def edges(self, now: float) -> tuple[float, ...]:
        """Return where its phases begin and end: one more than it has phases by now."""
        return (*self.at, max(now, self.at[-1])) if self.is_open and self.at else self.at

    def run(self, now: float) -> tuple[float, float] | None:
        """Return when it began and ended to run; None if it has not."""
        edges = self.edges(now)
        return (edges[_RUN], edges[_RUN + 1]) if len(edges) > _RUN + 1 else None


def bar_of(task_id: TaskId, told: dict[str, Any], *, title: str = "") -> Bar:
    """Return what the service tells of a task. Clocks of hops differ: no hop is before the one before it.

    A task that ended without having started, such as a cancelled one, has waited until its end.
    """
    times = told.get("times") or {}
    stamps = [float(times.get(hop) or 0) / 1e9 for hop in HOPS]
    state = TaskState(told["status"]) if told.get("status") in set(TaskState) else TaskState.RECEIVED
    if stamps[3] and not stamps[4]:
        stamps[4] = stamps[5]
    known = stamps if stamps[3] else [stamp for stamp in (*stamps[:3], stamps[5]) if stamp]
    at: list[float] = []
    for stamp in known:
        if not stamp and not (stamps[3] and len(at) in {1, 2}):
            break
        at.append(max(stamp, at[-1] if at else 0.0))
    return Bar(
        task_id=task_id,
        title=title,
        endpoint_id=str(told.get("endpoint_id") or ""),
        function_id=str(told.get("function_id") or ""),
        state=state,
        at=tuple(at),
        node=str(told.get("node") or ""),
        worker=int(told.get("worker", -1)),
    )


class TimelineModel:
    """The tasks of a timeline, in the order in which they were accepted."""

    def __init__(self, titles: dict[TaskId, str]) -> None:
        self._titles = titles
        self._bars: dict[TaskId, Bar] = {
            task_id: Bar(task_id=task_id, title=title) for task_id, title in titles.items()
        }
        self.endpoints: dict[str, str] = {}
        self.functions: dict[str, str] = {}
        self.outage = ""

    def __len__(self) -> int:
        return len(self._bars)

    def __contains__(self, task_id: TaskId) -> bool:
        return task_id in self._bars

    def add(self, titles: dict[TaskId, str]) -> bool:
        """Show these tasks, too; returns whether one of them is new."""
        fresh = {task_id: title for task_id, title in titles.items() if task_id not in self._bars}
        self._bars |= {task_id: Bar(task_id=task_id, title=title) for task_id, title in fresh.items()}
        return bool(fresh)

    def open_ids(self) -> list[TaskId]:
        """Return the tasks of which more is to be learned."""
        return [bar.task_id for bar in self._bars.values() if bar.is_open]

    def learn(self, states: dict[str, dict[str, Any]]) -> bool:
        """Take in what the service tells; returns whether something changed."""
        self.outage = ""
        changed = False
        for task_id, told in states.items():
            known = self._bars.get(TaskId(task_id))
            if known is None or "times" not in told:
                continue
            found = bar_of(known.task_id, told, title=known.title)
            changed = changed or found != known
            self._bars[known.task_id] = found
        return changed

    def forget(self, task_ids: Iterable[TaskId]) -> None:
        """These are not known to the service: there is nothing to draw."""
        for task_id in task_ids:
            self._bars.pop(task_id, None)

    def bars(self) -> list[Bar]:
        """Return the tasks of which something is known."""
        return sorted((bar for bar in self._bars.values() if bar.at), key=lambda bar: (bar.at[0], bar.task_id))

    def title(self, bar: Bar) -> str:
        """Return what a task runs."""
        return bar.title or self.functions.get(bar.function_id) or words.short_id(bar.task_id)

    def endpoint(self, bar: Bar) -> str:
        """Return the name of a task's endpoint."""
        return self.endpoints.get(bar.endpoint_id) or bar.endpoint_id[:8]

    def unnamed(self, states: dict[str, dict[str, Any]]) -> tuple[set[str], set[str]]:
        """Return the ids of endpoints and functions whose names are not known."""
        endpoints = {str(told.get("endpoint_id") or "") for told in states.values()}
        functions = {
            str(told.get("function_id") or "")
            for task_id, told in states.items()
            if not self._titles.get(TaskId(task_id))
        }
        return endpoints - self.endpoints.keys() - {""}, functions - self.functions.keys() - {""}


def describe(model: TimelineModel, bars: Sequence[Bar], now: float) -> str:
    """Return the whole in one line."""
    if not bars:
        return model.outage or "No task of these has reached the service yet."
    begin, end = bars[0].at[0], max(bar.edges(now)[-1] for bar in bars)
    runs = [span[1] - span[0] for bar in bars if (span := bar.run(now))]
    waits = [span[0] - bar.at[0] for bar in bars if (span := bar.run(now))]
    told = f"{len(bars):,} tasks in {words.span(end - begin)} s"
    if runs:
        told += f" · median: queue {words.span(median(waits))} s, run {words.span(median(runs))} s"
    failed = sum(bar.state is TaskState.FAILED for bar in bars)
    told += f" · {failed:,} failed" if failed else ""
    return f"{told} · {model.outage}" if model.outage else told


def as_text(model: TimelineModel, now: float) -> str:
    """Return the timeline in characters: a line for each worker, as high as it was busy."""
    bars = model.bars()
    rows = rows_of(model, bars, now)
    if not rows.names:
        return describe(model, bars, now)
    begin, end = bars[0].at[0], max(bar.edges(now)[-1] for bar in bars)
    busy = [[0.0] * _WIDTH for _ in rows.names]
    step = max(end - begin, 1e-9) / _WIDTH
    for bar, row in zip(bars, rows.of, strict=True):
        if row >= 0 and (span := bar.run(now)):
            _fill(busy[row], (span[0] - begin) / step, (span[1] - begin) / step)
    names = [name if len(name) <= _MOST_OF_NAME else f"…{name[1 - _MOST_OF_NAME :]}" for name in rows.names]
    width = max(map(len, names))
    lines = [f"{name:<{width}} {''.join(map(_level, line))}" for name, line in zip(names, busy, strict=True)]
    more = len(lines) - _MOST_ROWS
    hidden = [f"… and {more} rows more"] if more > 0 else []
    return "\n".join([describe(model, bars, now), *lines[:_MOST_ROWS], *hidden])


def _fill(line: list[float], begin: float, end: float) -> None:
    for cell in range(int(begin), min(len(line) - 1, int(end)) + 1):
        line[cell] += max(0.0, min(end, cell + 1.0) - max(begin, float(cell)))


def _level(share: float) -> str:
    # However short a task was, something is to be seen of it.
    return _LEVELS[min(len(_LEVELS) - 1, max(round(share * (len(_LEVELS) - 1)), 1 if share > 0 else 0))]


def columns(model: TimelineModel, now: float) -> dict[str, Any]:
    """Return the timeline as columns, which the front end draws. Times are milliseconds from `begin`, of each bar's edges."""
    bars = model.bars()
    rows = rows_of(model, bars, now)
    begin = bars[0].at[0] if bars else now
    return {
        "begin": begin * 1e3,
        "about": describe(model, bars, now),
        "rows": rows.names,
        "labels": rows.labels,
        "groups": [[group.name, group.first, group.count] for group in rows.groups],
        "row": rows.of,
        "until": [round((end - begin) * 1e3, 2) for end in rows.ends],
        "ids": [words.short_id(bar.task_id) for bar in bars],
        "titles": [model.title(bar) for bar in bars],
        "endpoints": [model.endpoint(bar) for bar in bars],
        "states": [bar.state.value for bar in bars],
        "edges": [[round((edge - begin) * 1e3, 2) for edge in bar.edges(now)] for bar in bars],
    }
