"""Judges a run in which processes were killed or frozen, by a ledger that the system does not know of."""

from __future__ import annotations

import os
import time
from collections import Counter
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import msgspec

from funcx_core.errors import FuncxError
from tests.support.fabric import Fabric
from tests.support.ledger import Ledger

ROUNDS = int(os.environ.get("CHAOS_ROUNDS") or 1)
SEED = int(os.environ.get("CHAOS_SEED") or 20_240_601)


class Verdict(msgspec.Struct):
    """What became of every task that was submitted."""

    values: list[str]
    errors: dict[str, str]
    seconds: float


class Run:
    """Submits recorded tasks, and judges what became of them."""

    def __init__(self, fabric: Fabric, folder: Path, name: str) -> None:
        self.fabric = fabric
        self.ledger = Ledger(folder / f"ledger-{name}")
        self.futures: dict[str, Future[Any]] = {}
        self._name = name

    def submit(self, executor: Any, count: int, seconds: float) -> None:
        """Submit `count` tasks that take `seconds` each."""
        for _ in range(count):
            task = f"{self._name}-{len(self.futures)}"
            self.futures[task] = executor.submit(self.ledger.function, str(self.ledger.path), task, seconds)

    def judge(self, *, within: float, may_fail: frozenset[str] | set[str] = frozenset()) -> Verdict:
        """Wait for all tasks, and assert what holds whatever was killed.

        Every task ends, within `within` seconds, with its own value or with an error of ours whose code is in `may_fail`. No
        task started more than once (they do not allow a retry), and each that returned a value ran to its end once.
        """
        start = time.monotonic()
        verdict = Verdict([], {}, 0.0)
        for task, future in self.futures.items():
            left = max(0.1, within - (time.monotonic() - start))
            try:
                value = future.result(left)
            except FuncxError as error:
                verdict.errors[task] = error.code
            except TimeoutError:
                lost = [name for name, one in self.futures.items() if not one.done()]
                raise AssertionError(
                    f"lost (not ended after {within:g} s): {lost}\nstarted: {sorted(self.ledger.starts())}"
                ) from None
            else:
                assert value == task, f"{task} got the result of {value}"
                verdict.values.append(value)
        verdict.seconds = time.monotonic() - start
        self._check_ledger(verdict, set(may_fail))
        return verdict

    def _check_ledger(self, verdict: Verdict, may_fail: set[str]) -> None:
        starts, ends = self.ledger.starts(), self.ledger.ends()
        assert set(verdict.errors.values()) <= may_fail, Counter(verdict.errors.values())
        twice = {task: count for task, count in starts.items() if count > 1}
        assert not twice, f"started more than once: {twice}"
        assert {task: ends[task] for task in verdict.values} == dict.fromkeys(verdict.values, 1)
        assert set(starts) <= set(self.futures), "ran and was never submitted"
