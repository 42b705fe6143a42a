"""Anvil, Purdue University.

After a change: funcx-endpoint restart
"""

from parsl.launchers import SrunLauncher
from parsl.providers import SlurmProvider

from funcx_endpoint.endpoint.utils.config import Config
from funcx_endpoint.executors import HighThroughputExecutor

config = Config(
    executors=[
        HighThroughputExecutor(
            max_workers_per_node=32,
            provider=SlurmProvider(
                partition="wholenode",
                account="YOUR_ACCOUNT",
                nodes_per_block=2,
                init_blocks=0,
                min_blocks=0,
                max_blocks=1,
                walltime="00:30:00",
                # A busy scheduler answers late.
                cmd_timeout=60,
                # Typed before the workers start, such as "module load python; source ~/venv/bin/activate".
                worker_init="",
                launcher=SrunLauncher(),
            ),
        ),
    ],
)
