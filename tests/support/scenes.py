"""Widgets with much to show, made in a kernel from a service that plays its part: the same on every machine and day."""

from __future__ import annotations

import math
import random
from typing import Any

from funcx_core.errors import ServiceUnavailable
from funcx_core.ids import TaskId
from funcx_jupyter.session.endpoints import Endpoint
from funcx_jupyter.widgets.local_endpoints import LocalEndpoint
from funcx_jupyter.widgets.monitor import TaskMonitor
from funcx_jupyter.widgets.picker import EndpointPicker
from funcx_jupyter.widgets.task_view import TaskView
from funcx_jupyter.widgets.timeline import Timeline

BEGIN = 1_750_000_000.0
HERE, THETA, LONG, ARABIC = ("h" * 36, "t" * 36, "l" * 36, "a" * 36)
CHECKPOINT = "/lustre/orion/projects/climate-2031/" + "ensemble-member/" * 12 + "epoch-3.ckpt"
LONG_NAME = "a-really-quite-long-name-of-an-endpoint-that-somebody-chose-for-their-cluster"


def an_id(number: int) -> TaskId:
    """Return the id of task `number`."""
    return TaskId(f"{0x01A20360 + number:08x}-77ca-7000-{0x8000 + number * 7919 % 0x3FFF:04x}-a168dfa0a716")


class Service:
    """Answers at once, the same each time. While it `is_down`, it does not."""

    def __init__(self, tasks: dict[TaskId, dict[str, Any]] | None = None) -> None:
        self.tasks = tasks or {}
        self.is_down = False
        self.asked = 0

    def _ask(self) -> None:
        self.asked += 1
        if self.is_down:
            raise ServiceUnavailable("Cannot reach http://127.0.0.1:5000/v2 (connection refused).")

    def endpoints(self, *, fresh: bool = False) -> list[Endpoint]:
        del fresh
        self._ask()
        return [
            Endpoint(
                endpoint_id=HERE, name="local", is_online=True, hostname="laptop", python_version="3.11.7",
                workers=8, idle_workers=7,
            ),
            Endpoint(
                endpoint_id=THETA, name="theta", is_online=True, hostname="thetalogin3", python_version="3.12.1",
                workers=512, idle_workers=48, pending_tasks=1200,
            ),
            Endpoint(endpoint_id=LONG, name=LONG_NAME, is_online=False, last_seen=840.0, hostname="login" * 12),
            Endpoint(endpoint_id=ARABIC, name="عنقود 🧬 β", is_online=False, python_version="3.11.2"),
        ]  # fmt: skip

    def states(self, task_ids: list[TaskId]) -> dict[str, dict[str, Any]]:
        self._ask()
        return {task_id: self.tasks[task_id] for task_id in task_ids}

    def function_name(self, function_id: str) -> str:
        return {"simulate": "simulate"}[function_id]

    def group(self, group_id: str) -> list[TaskId]:
        del group_id
        return list(self.tasks)

    def events(self, task_id: TaskId, after: int) -> list[dict[str, Any]]:
        del task_id
        lines = "epoch 1  loss 0.911\nepoch 2  loss 0.402\nepoch 3  loss 0.318\nsaved as " + CHECKPOINT + "\n"
        return [{"seq": 1, "kind": "stdout", "body": lines}] if after < 1 else []

    def cancel(self, task_id: TaskId) -> None:
        self.tasks[task_id] = {**self.tasks[task_id], "status": "cancelled"}

    def result(self, task_id: TaskId) -> str:
        return f"the result of {task_id}"


class Local:
    """One endpoint of this machine."""

    def list(self) -> list[LocalEndpoint]:
        return [LocalEndpoint("local", HERE)]

    def start(self, name: str) -> None:
        """Nothing has to be done."""

    def stop(self, name: str) -> None:
        """Nothing has to be done."""


def told(status: str, *times: float, endpoint: str = THETA, **more: Any) -> dict[str, Any]:
    """Return what a service tells of a task that passed so many hops at these seconds."""
    hops = ("received", "interchange", "manager", "started", "ended", "completed")
    stamps = {hop: int((BEGIN + at) * 1e9) for hop, at in zip(hops, times, strict=False)}
    return {"status": status, "endpoint_id": endpoint, "function_id": "simulate", "times": stamps, **more}


FAILURES = (
    {"type_name": "ValueError", "message": "temperature must be positive, not -3.2"},
    {"type_name": "ModuleNotFoundError", "message": "No module named 'xgboost'"},
    {"code": "worker_lost", "message": "The worker died (signal 9, used 31.8 of 32 GB)."},
)


def tasks(count: int) -> dict[TaskId, dict[str, Any]]:
    """Return tasks on twelve workers of three nodes; every hundredth failed, the last ones run or wait."""
    dice = random.Random(7)
    free = [0.4 * worker / 12 for worker in range(12)]
    found: dict[TaskId, dict[str, Any]] = {}
    for number in range(count):
        worker = min(range(12), key=free.__getitem__)
        start = free[worker] + 0.002 + 0.01 * dice.random()
        end = start + 0.15 + 0.5 * dice.random() ** 3 + 0.1 * math.sin(number / 30) ** 2
        free[worker] = end
        place = {"node": f"nid{40 + worker // 4:05d}:{worker // 4:04x}", "worker": worker % 4}
        waits = (start - 0.3 - 0.2 * dice.random(), start - 0.2, start - 0.05)
        if count - number <= 4:
            found[an_id(number)] = told("received", start - 0.4)
        elif count - number <= 16:
            found[an_id(number)] = told("running", *waits, start, **place)
        elif number % 100 == 17:
            error = {"code": "remote_task_error", "type_name": "", **FAILURES[number // 100 % 3]}
            found[an_id(number)] = told("failed", *waits, start, end, end + 0.02, error=error, **place)
        else:
            found[an_id(number)] = told("success", *waits, start, end, end + 0.02, **place)
    return found


def now_of(found: dict[TaskId, dict[str, Any]]) -> float:
    """Return a time just after the last one that is told."""
    return max(max(each["times"].values()) for each in found.values()) / 1e9 + 0.2


def picker(value: str = "theta") -> EndpointPicker:
    """Four endpoints, one of this machine."""
    made = EndpointPicker(value, service=Service(), local=Local())
    made.model._python = "3.11"
    return made


def monitor(count: int = 10_000, page_size: int = 10) -> TaskMonitor:
    """Many tasks."""
    found = tasks(count)
    return TaskMonitor(list(found), service=Service(found), page_size=page_size, clock=lambda: now_of(found))


def task() -> TaskView:
    """A task that failed, with output."""
    error = {"code": "remote_task_error", **FAILURES[0]}
    times = (0.0, 0.2, 0.9, 1.4, 12.9, 13.1)
    service = Service({an_id(3): told("failed", *times, error=error, node="nid00041:0001", worker=2)})
    return TaskView(an_id(3), service=service, clock=lambda: BEGIN + 20)


def timeline(count: int = 300) -> Timeline:
    """Tasks on three nodes."""
    found = tasks(count)
    return Timeline(list(found), service=Service(found), clock=lambda: now_of(found))
