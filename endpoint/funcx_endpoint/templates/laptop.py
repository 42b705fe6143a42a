"""A laptop or a workstation: one block on this machine, with a worker for each processor.

For fewer workers give HighThroughputExecutor a max_workers_per_node.

After a change: funcx-endpoint restart
"""

from parsl.providers import LocalProvider

from funcx_endpoint.endpoint.utils.config import Config
from funcx_endpoint.executors import HighThroughputExecutor

config = Config(
    executors=[
        HighThroughputExecutor(
            cores_per_worker=1,
            provider=LocalProvider(init_blocks=1, min_blocks=1, max_blocks=1),
        ),
    ],
)
