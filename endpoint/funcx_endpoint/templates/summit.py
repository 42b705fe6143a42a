"""Summit, Oak Ridge Leadership Computing Facility; it was switched off in 2024.

Kept for other machines with LSF.

After a change: funcx-endpoint restart
"""

from parsl.addresses import address_by_interface
from parsl.launchers import JsrunLauncher
from parsl.providers import LSFProvider

from funcx_endpoint.endpoint.utils.config import Config
from funcx_endpoint.executors import HighThroughputExecutor

config = Config(
    executors=[
        HighThroughputExecutor(
            # Without it, as many on each node as this machine has processors.
            max_workers_per_node=4,
            # Compute nodes write to the parallel file system only.
            working_dir="YOUR_FOLDER",
            address=address_by_interface("ib0"),
            provider=LSFProvider(
                project="YOUR_ACCOUNT",
                nodes_per_block=2,
                init_blocks=0,
                min_blocks=0,
                max_blocks=1,
                walltime="00:30:00",
                # A busy scheduler answers late.
                cmd_timeout=60,
                # Typed before the workers start, such as "module load python; source ~/venv/bin/activate".
                worker_init="",
                launcher=JsrunLauncher(),
            ),
        ),
    ],
)
