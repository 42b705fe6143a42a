"""Our executor by itself, with no service: agent, manager and workers as for an endpoint."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager


@contextmanager
def running(workers: int) -> Iterator[Executor]:
    """`HighThroughputExecutor` in a temporary folder."""
    from funcx_endpoint.executors import HighThroughputExecutor

    with tempfile.TemporaryDirectory(prefix="bench-funcx-") as home:
        os.environ["FUNCX_HOME"] = home
        with HighThroughputExecutor(max_workers_per_node=workers, passthrough=False) as executor:
            yield executor
