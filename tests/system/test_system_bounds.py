"""Bounds and places of workers, from the endpoint's config to what its user reads."""

import pytest

from funcx_core import errors
from tests.support.fabric import ENDPOINT_CONFIG

SETTINGS = """\
            mem_per_worker=0.3,
            available_accelerators=["GPU-a"],
            run_in_sandbox=True,
            max_tasks_per_worker=2,
            load_timeout=20,
"""


def eat():
    import time

    eaten = b"x" * 500_000_000
    time.sleep(60)
    return len(eaten)


def look():
    import os
    from pathlib import Path

    return os.getpid(), os.environ["CUDA_VISIBLE_DEVICES"], Path.cwd().name


def test_the_config_reaches_the_workers_and_its_names_the_user(new_fabric):
    """U10, U20: by way of the whole fabric."""
    fabric = new_fabric(endpoints=())
    config = ENDPOINT_CONFIG.format(workers=2, period=fabric.period, threshold=fabric.threshold)
    mark = "            provider="
    fabric.configure_endpoint("local", config.replace(mark, SETTINGS + mark))
    fabric.start_endpoint("local")
    fabric.endpoint_names = ("local",)
    with fabric.executor("local") as executor:
        futures = [executor.submit(look) for _ in range(4)]
        seen = [future.result(30) for future in futures]
        assert [gpu for _, gpu, _ in seen] == ["GPU-a"] * 4
        assert [folder for _, _, folder in seen] == [future.task_id for future in futures]
        assert len({pid for pid, _, _ in seen}) == 2  # One accelerator is one worker, and each ran two tasks.
        with pytest.raises(
            errors.WorkerLost, match=r"out of memory: it used \d+ MB.*mem_per_worker allows 300 MB"
        ) as lost:
            executor.submit(eat).result(30)
        assert lost.value.details["oom"]
        assert "retry_on_loss" not in str(lost.value)
