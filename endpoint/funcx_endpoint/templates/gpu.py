"""A machine with GPUs: a worker for each of them, which sees that one only.

After a change: funcx-endpoint restart
"""

from parsl.providers import LocalProvider

from funcx_endpoint.endpoint.utils.config import Config
from funcx_endpoint.executors import HighThroughputExecutor

config = Config(
    executors=[
        HighThroughputExecutor(
            # How many GPUs there are, or which: ["0", "2"].
            available_accelerators=1,
            provider=LocalProvider(init_blocks=1, min_blocks=1, max_blocks=1),
        ),
    ],
)
