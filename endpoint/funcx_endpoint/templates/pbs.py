"""A cluster with PBS Pro or OpenPBS; the endpoint runs on a login node.

Nodes must reach the login node, and share this folder with it. With more than one node in a block, use MpiExecLauncher.

After a change: funcx-endpoint restart
"""

from parsl.launchers import SingleNodeLauncher
from parsl.providers import PBSProProvider

from funcx_endpoint.endpoint.utils.config import Config
from funcx_endpoint.executors import HighThroughputExecutor

config = Config(
    executors=[
        HighThroughputExecutor(
            # Without it, as many on each node as this machine has processors.
            max_workers_per_node=4,
            # Seconds after which an idle block is given back.
            max_idletime=300,
            provider=PBSProProvider(
                queue="YOUR_QUEUE",
                account="YOUR_ACCOUNT",
                nodes_per_block=1,
                cpus_per_node=1,
                init_blocks=0,
                min_blocks=0,
                max_blocks=2,
                walltime="01:00:00",
                # More of the resources of a chunk, such as "ngpus=1".
                select_options="",
                # Further lines of the job, each with #PBS.
                scheduler_options="",
                # Typed before the workers start, such as "module load python; source ~/venv/bin/activate".
                worker_init="",
                launcher=SingleNodeLauncher(),
            ),
        ),
    ],
)
