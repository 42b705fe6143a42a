"""Parsl's HighThroughputExecutor as its users configure it for one machine: encrypted, one block, a local provider."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager


@contextmanager
def running(workers: int) -> Iterator[Executor]:
    """Parsl behind its own `concurrent.futures` interface."""
    from parsl import Config
    from parsl.concurrent import ParslPoolExecutor
    from parsl.executors import HighThroughputExecutor
    from parsl.providers import LocalProvider

    with tempfile.TemporaryDirectory(prefix="bench-parsl-") as folder:
        # Without an address Parsl asks a public service for this machine's, which would only slow its start.
        htex = HighThroughputExecutor(
            label="htex",
            address="127.0.0.1",
            max_workers_per_node=workers,
            provider=LocalProvider(init_blocks=1, min_blocks=1, max_blocks=1),
        )
        with ParslPoolExecutor(Config(executors=[htex], run_dir=folder, initialize_logging=False)) as executor:
            yield executor
