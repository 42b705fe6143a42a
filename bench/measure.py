"""Measures one system once, in a process of its own, and prints the figures as JSON: ``python -m bench.measure SYSTEM``."""

from __future__ import annotations

import argparse
import importlib
import itertools
import json
import os
import statistics
import time
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any

from bench import workload
from bench.processes import MARKER, age_of_this_process, cpu_between, usage

WORKERS = 2
MEGABYTE = 1_000_000

Figures = dict[str, Any]


class Sizes:
    """How much is run; `quick` is for development, its figures are not worth quoting."""

    def __init__(self, *, quick: bool) -> None:
        self.tasks = 1_000 if quick else 10_000
        self.round_trips = 100 if quick else 500
        self.naps = 200 if quick else 1_000
        self.echoes = 10 if quick else 50
        self.idle_seconds = 1.0 if quick else 5.0


def measure(system: str, sizes: Sizes) -> Figures:
    """Return all figures of one system."""
    marker = os.environ[MARKER]
    module = importlib.import_module(f"bench.systems.{system}")
    with module.running(WORKERS) as executor:
        executor.submit(workload.noop, 1).result(120)
        figures: Figures = {"cold_start_s": age_of_this_process()}
        warm_up(executor)
        for step in (one_by_one, mapped, round_trips, naps, echoes):
            figures.update(step(executor, sizes, marker))
        figures.update(idle(sizes, marker))
        if hasattr(module, "hops"):
            figures["hops_us"] = per_hop(executor, module.hops)
    return figures


def warm_up(executor: Executor) -> None:
    """Let every worker load the functions once."""
    for function, argument in ((workload.noop, 1), (workload.nap, 0.0), (workload.echo, b"x")):
        for future in [executor.submit(function, argument) for _ in range(20)]:
            future.result(120)


def one_by_one(executor: Executor, sizes: Sizes, marker: str) -> Figures:
    """Submit no-ops one by one and gather them, with the processor time of every process."""
    before = usage(marker)
    start = time.perf_counter()
    futures = [executor.submit(workload.noop, number) for number in range(sizes.tasks)]
    submitted = time.perf_counter() - start
    expect([future.result(300) for future in futures] == list(range(sizes.tasks)))
    seconds = time.perf_counter() - start
    after = usage(marker)
    cpu = {role: spent / sizes.tasks * 1e6 for role, spent in cpu_between(before, after).items()}
    return {
        "tasks_per_s": sizes.tasks / seconds,
        "submit_us": submitted / sizes.tasks * 1e6,
        "cpu_us_per_task": sum(cpu.values()),
        "cpu_us_by_process": cpu,
        "memory_mb": sum(used.memory_bytes for used in after.values()) / 1e6,
        "memory_mb_by_process": {role: used.memory_bytes / 1e6 for role, used in after.items()},
    }


def mapped(executor: Executor, sizes: Sizes, _marker: str) -> Figures:
    """The same by `map`, in chunks of 100 and once in chunks of one."""
    figures = {}
    for name, chunksize in (("map_calls_per_s", 100), ("map_of_one_calls_per_s", 1)):
        start = time.perf_counter()
        expect(list(executor.map(workload.noop, range(sizes.tasks), chunksize=chunksize)) == list(range(sizes.tasks)))
        figures[name] = sizes.tasks / (time.perf_counter() - start)
    return figures


def round_trips(executor: Executor, sizes: Sizes, _marker: str) -> Figures:
    """One task at a time on a warm system."""
    times = sorted(timed(lambda: executor.submit(workload.noop, 1).result(60)) for _ in range(sizes.round_trips))
    return {f"rtt_p{part}_ms": times[int(len(times) * part / 100)] * 1e3 for part in (50, 95, 99)}


def naps(executor: Executor, sizes: Sizes, _marker: str) -> Figures:
    """How much of two workers is used by tasks of 10 ms."""
    seconds = timed(
        lambda: [future.result(300) for future in [executor.submit(workload.nap, 0.01) for _ in range(sizes.naps)]]
    )
    return {"nap_efficiency": sizes.naps * 0.01 / WORKERS / seconds}


def echoes(executor: Executor, sizes: Sizes, _marker: str) -> Figures:
    """1 MB there and back, all submitted at once."""
    value = os.urandom(MEGABYTE)

    def run() -> None:
        futures = [executor.submit(workload.echo, value) for _ in range(sizes.echoes)]
        expect(all(future.result(300) == value for future in futures))

    return {"echo_mb_per_s": sizes.echoes * MEGABYTE / 1e6 / timed(run)}


def idle(sizes: Sizes, marker: str) -> Figures:
    """Processor use with nothing to do, after a moment to settle."""
    time.sleep(1.0)
    before = usage(marker)
    time.sleep(sizes.idle_seconds)
    used = cpu_between(before, usage(marker))
    return {"idle_percent": sum(used.values()) / sizes.idle_seconds * 100}


def per_hop(executor: Executor, hops: Callable[[list[str]], list[dict[str, int]]]) -> dict[str, float]:
    """Where the time of a warm round trip goes: median microseconds between the time stamps of its hops."""
    trips = []
    for _ in range(100):
        start = time.time_ns()
        future: Any = executor.submit(workload.noop, 1)
        future.result(60)
        trips.append((future.task_id, start, time.time_ns()))
    recorded = hops([task_id for task_id, _, _ in trips])
    order = ("submitted", "received", "interchange", "manager", "started", "ended", "resolved")
    stamps = [
        {**times, "submitted": start, "resolved": end} for times, (_, start, end) in zip(recorded, trips, strict=True)
    ]
    return {
        f"{first} → {second}": statistics.median(stamp[second] - stamp[first] for stamp in stamps) / 1e3
        for first, second in itertools.pairwise(order)
    }


def timed(action: Callable[[], object]) -> float:
    """Return how many seconds `action` takes."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def expect(condition: object) -> None:
    """A wrong answer is no measurement."""
    if not condition:
        raise RuntimeError("the system returned wrong results")


def main() -> None:
    """Measure the named system and print its figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("system")
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    print("FIGURES " + json.dumps(measure(arguments.system, Sizes(quick=arguments.quick))), flush=True)


if __name__ == "__main__":
    main()
