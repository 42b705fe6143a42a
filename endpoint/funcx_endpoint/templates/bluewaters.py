"""Blue Waters, National Center for Supercomputing Applications; it was switched off in 2021.

Kept for other Cray machines with Torque.

After a change: funcx-endpoint restart
"""

from parsl.launchers import AprunLauncher
from parsl.providers import TorqueProvider

from funcx_endpoint.endpoint.utils.config import Config
from funcx_endpoint.executors import HighThroughputExecutor

config = Config(
    executors=[
        HighThroughputExecutor(
            max_workers_per_node=1,
            provider=TorqueProvider(
                queue="normal",
                account="YOUR_ACCOUNT",
                nodes_per_block=1,
                init_blocks=0,
                min_blocks=0,
                max_blocks=1,
                walltime="00:30:00",
                scheduler_options="",
                # Typed before the workers start, such as "module load python; source ~/venv/bin/activate".
                worker_init="module load bwpy",
                launcher=AprunLauncher(overrides="-b -- bwpy-environ --"),
            ),
        ),
    ],
)
