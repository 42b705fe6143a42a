"""Perlmutter (processor nodes), National Energy Research Scientific Computing Center.

After a change: funcx-endpoint restart
"""

from parsl.launchers import SrunLauncher
from parsl.providers import SlurmProvider

from funcx_endpoint.endpoint.utils.config import Config
from funcx_endpoint.executors import HighThroughputExecutor

config = Config(
    executors=[
        HighThroughputExecutor(
            max_workers_per_node=64,
            provider=SlurmProvider(
                account="YOUR_ACCOUNT",
                qos="regular",
                constraint="cpu",
                nodes_per_block=2,
                init_blocks=0,
                min_blocks=0,
                max_blocks=1,
                walltime="00:30:00",
                # A busy scheduler answers late.
                cmd_timeout=120,
                worker_init="module load python; conda activate YOUR_ENVIRONMENT",
                launcher=SrunLauncher(overrides="-c 256"),
            ),
        ),
    ],
)
