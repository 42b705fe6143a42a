"""A cluster with Slurm, for programs that run on several nodes at a time (MPI).

One manager runs in each block and gives tasks whole nodes, as many as they ask for. Nodes must reach the login node, and share this
folder with it. Remove `account` where jobs are charged to nobody.

After a change: funcx-endpoint restart
"""

from parsl.launchers import SimpleLauncher
from parsl.providers import SlurmProvider

from funcx_endpoint.endpoint.utils.config import Config
from funcx_endpoint.executors import HighThroughputExecutor

config = Config(
    executors=[
        HighThroughputExecutor(
            enable_mpi_mode=True,
            # Or "mpiexec" (MPICH, Intel MPI, Cray), "openmpi" (its mpirun), "aprun".
            mpi_launcher="srun",
            # Tasks that run in a block at a time, at most.
            max_workers_per_block=4,
            # Seconds after which an idle block is given back.
            max_idletime=300,
            provider=SlurmProvider(
                partition="YOUR_PARTITION",
                account="YOUR_ACCOUNT",
                nodes_per_block=4,
                init_blocks=0,
                min_blocks=0,
                max_blocks=1,
                walltime="01:00:00",
                # Further lines of the job, such as "#SBATCH --constraint=cpu".
                scheduler_options="",
                # Typed before the manager starts, such as "module load cray-mpich; source ~/venv/bin/activate".
                worker_init="",
                # The tasks start their processes on the other nodes themselves.
                launcher=SimpleLauncher(),
            ),
        ),
    ],
)
