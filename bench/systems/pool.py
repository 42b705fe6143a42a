"""`concurrent.futures.ProcessPoolExecutor`: in one box, nothing kept."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager


@contextmanager
def running(workers: int) -> Iterator[Executor]:
    """A pool as Python gives it."""
    with ProcessPoolExecutor(workers) as pool:
        yield pool
