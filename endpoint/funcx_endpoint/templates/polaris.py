"""Polaris, Argonne Leadership Computing Facility.

Four workers on a node, each with one of its four GPUs.

After a change: funcx-endpoint restart
"""

from parsl.addresses import address_by_interface
from parsl.launchers import MpiExecLauncher
from parsl.providers import PBSProProvider

from funcx_endpoint.endpoint.utils.config import Config
from funcx_endpoint.executors import HighThroughputExecutor

config = Config(
    executors=[
        HighThroughputExecutor(
            address=address_by_interface("bond0"),
            available_accelerators=4,
            cpu_affinity="alternating",
            provider=PBSProProvider(
                account="YOUR_ACCOUNT",
                # Or "debug", "debug-scaling", "preemptable".
                queue="prod",
                select_options="ngpus=4",
                # File systems that the job needs.
                scheduler_options="#PBS -l filesystems=home:eagle",
                cpus_per_node=64,
                nodes_per_block=10,
                init_blocks=0,
                min_blocks=0,
                max_blocks=1,
                walltime="00:30:00",
                worker_init="module use /soft/modulefiles; module load conda; conda activate YOUR_ENVIRONMENT",
                # One manager on each node, which may use all its processors.
                launcher=MpiExecLauncher(bind_cmd="--cpu-bind", overrides="--depth=64 --ppn 1"),
            ),
        ),
    ],
)
