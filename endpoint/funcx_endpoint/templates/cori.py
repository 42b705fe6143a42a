"""Cori (Haswell nodes), National Energy Research Scientific Computing Center; it was switched off in 2023.

Kept for machines that are set up as it was. Its successor is `perlmutter`.

After a change: funcx-endpoint restart
"""

from parsl.addresses import address_by_interface
from parsl.launchers import SrunLauncher
from parsl.providers import SlurmProvider

from funcx_endpoint.endpoint.utils.config import Config
from funcx_endpoint.executors import HighThroughputExecutor

config = Config(
    executors=[
        HighThroughputExecutor(
            address=address_by_interface("bond0.144"),
            max_workers_per_node=32,
            provider=SlurmProvider(
                partition="regular",
                account="YOUR_ACCOUNT",
                scheduler_options="#SBATCH --constraint=haswell",
                nodes_per_block=2,
                init_blocks=0,
                min_blocks=0,
                max_blocks=1,
                walltime="00:30:00",
                # A busy scheduler answers late.
                cmd_timeout=120,
                # Typed before the workers start, such as "module load python; source ~/venv/bin/activate".
                worker_init="",
                launcher=SrunLauncher(overrides="-c 32"),
            ),
        ),
    ],
)
