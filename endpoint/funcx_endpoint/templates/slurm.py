"""A cluster with Slurm; the endpoint runs on a login node.

Nodes must reach the login node, and share this folder with it. Remove `account` where jobs are charged to nobody.

After a change: funcx-endpoint restart
"""

from parsl.launchers import SrunLauncher
from parsl.providers import SlurmProvider

from funcx_endpoint.endpoint.utils.config import Config
from funcx_endpoint.executors import HighThroughputExecutor

config = Config(
    executors=[
        HighThroughputExecutor(
            # Without it, as many on each node as this machine has processors.
            max_workers_per_node=4,
            # Seconds after which an idle block is given back.
            max_idletime=300,
            provider=SlurmProvider(
                partition="YOUR_PARTITION",
                account="YOUR_ACCOUNT",
                nodes_per_block=1,
                init_blocks=0,
                min_blocks=0,
                max_blocks=2,
                walltime="01:00:00",
                # Further lines of the job, such as "#SBATCH --constraint=gpu".
                scheduler_options="",
                # Typed before the workers start, such as "module load python; source ~/venv/bin/activate".
                worker_init="",
                launcher=SrunLauncher(),
            ),
        ),
    ],
)
