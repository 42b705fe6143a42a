"""A machine with GPUs: one worker, whose task has the GPUs that CUDA_VISIBLE_DEVICES names.

For a task per GPU at a time, configure an endpoint for each GPU, with its number here.

After a change: funcx-endpoint restart
"""

from parsl.providers import LocalProvider

from funcx_endpoint.endpoint.utils.config import Config
from funcx_endpoint.executors import HighThroughputExecutor

config = Config(
    executors=[
        HighThroughputExecutor(
            max_workers_per_node=1,
            provider=LocalProvider(
                init_blocks=1,
                min_blocks=1,
                max_blocks=1,
                worker_init="export CUDA_VISIBLE_DEVICES=0",
            ),
        ),
    ],
)
