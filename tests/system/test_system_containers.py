"""A function that was registered with a container, from the client to a worker in it and back."""

from __future__ import annotations

from pathlib import Path

import pytest

from funcx_core.errors import ContainerUnavailable
from tests.support.containers import a_root_tree, binds_of_this_python, needs

CONFIG = """\
from funcx_endpoint.config import Config
from funcx_endpoint.executors import HighThroughputExecutor
from parsl.providers import LocalProvider

config = Config(
    executors=[
        HighThroughputExecutor(
            max_workers_per_node=1,
            heartbeat_period=0.25,
            heartbeat_threshold=1.0,
            container_type="Charliecloud",
            container_cmd_options={options!r},
            provider=LocalProvider(init_blocks=1, min_blocks=1, max_blocks=1),
        )
    ],
    heartbeat_period=0.25,
    heartbeat_threshold=1.0,
)
"""


def what_is_inside() -> str:
    mark = Path("/etc/inside")
    return mark.read_text() if mark.exists() else "outside"


@needs("ch-run")
def test_a_function_that_was_registered_with_a_container_runs_in_it(fresh_fabric, tmp_path):
    tree = a_root_tree(tmp_path / "root")
    fresh_fabric.configure_endpoint("boxed", CONFIG.format(options=" ".join(binds_of_this_python())))
    fresh_fabric.start_endpoint("boxed")
    client = fresh_fabric.client()
    container = client.register_container(str(tree), "charliecloud", name="small")
    function = client.register_function(what_is_inside, container_uuid=container)
    plain = client.register_function(what_is_inside)
    with fresh_fabric.executor("boxed") as executor:
        assert executor.submit_to_registered_function(function_id=function).result(60) == "the small root tree\n"
        assert executor.submit_to_registered_function(function_id=plain).result(60) == "outside"
    with fresh_fabric.executor("boxed", container_id=container) as executor:
        assert executor.submit_to_registered_function(function_id=plain).result(60) == "the small root tree\n"
    with fresh_fabric.executor() as executor:
        future = executor.submit_to_registered_function(function_id=function)
        with pytest.raises(ContainerUnavailable, match="this endpoint runs none"):
            future.result(60)
    fresh_fabric.stop_endpoint("boxed")
