"""Ours, as `funcx up` starts it: service, forwarder, endpoint agent, manager, workers, every submit on disk before it is acknowledged."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def running(workers: int) -> Iterator[Executor]:
    """Our executor on a fabric in a temporary folder."""
    from funcx_core.fabric import compose

    home = Path(tempfile.mkdtemp(prefix="bench-funcx-"))
    os.environ["FUNCX_HOME"] = str(home)
    try:
        raised = compose.up(home, say=_silent, port=0)
        [endpoint] = raised.status.endpoints
        from funcx import FuncXExecutor

        with FuncXExecutor(endpoint_id=endpoint.id) as executor:
            _expect_workers(endpoint.id, workers)
            yield executor
    finally:
        compose.down(home, say=_silent)
        shutil.rmtree(home, ignore_errors=True)


def hops(task_ids: list[str]) -> list[dict[str, int]]:
    """Return when each task passed each hop, in Unix nanoseconds, as the service recorded it."""
    from funcx_core.fabric.service_process import get_json
    from funcx_core.sdk.settings import load_settings

    settings = load_settings()
    return [get_json(f"{settings.service_address}/tasks/{one}", token=settings.token)["times"] for one in task_ids]


def _silent(_text: str) -> None:
    return


def _expect_workers(endpoint_id: str, workers: int) -> None:
    from funcx_core.fabric.service_process import get_json
    from funcx_core.sdk.settings import load_settings

    settings = load_settings()
    report = get_json(f"{settings.service_address}/endpoints/{endpoint_id}/status", token=settings.token) or {}
    found = report.get("details", {}).get("workers")
    if found not in (None, workers):
        raise RuntimeError(f"the endpoint has {found} workers, the others are measured with {workers}")
