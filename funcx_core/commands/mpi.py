"""`MPIFunction`: a command that is started on all nodes of its task."""

from __future__ import annotations

import os
from typing import Any, Final

from funcx_core.commands.function import ShellFunction
from funcx_core.commands.result import ShellResult
from funcx_core.commands.running_task import running_task
from funcx_core.commands.template import fill_in
from funcx_core.errors import ResourcesUnavailable

PREFIX: Final = "PARSL_MPI_PREFIX"


class MPIFunction(ShellFunction):
    """A program that runs on several nodes of a block, on as many as the `resources` of its task ask for.

    >>> solve = MPIFunction("./solve {case:q}")
    >>> executor.resource_specification = {"num_nodes": 2, "ranks_per_node": 4}
    >>> executor.submit(solve, case="wing.cfg").result().returncode

    The launcher of the endpoint (``mpiexec``, ``srun``) and its options are put in front of the command: in front of its first
    program, if the command is a line of several. A script that starts programs by itself is better a `ShellFunction` with
    ``$PARSL_MPI_PREFIX`` where the launcher belongs.

    The arguments are those of `ShellFunction`. Only endpoints with ``enable_mpi_mode`` give nodes to tasks.
    """

    def __call__(self, **values: Any) -> ShellResult | dict[str, Any]:
        """Start the command on the nodes of this task.

        Raises:
            ResourcesUnavailable: no nodes were given to it.
            TypeError, UsageError, OSError: as `ShellFunction` does.
        """
        if PREFIX not in os.environ:
            raise ResourcesUnavailable(
                "An MPIFunction needs nodes of its own, and this endpoint gives none to tasks. "
                "Its owner can change that: HighThroughputExecutor(enable_mpi_mode=True)."
            )
        return self._run(f"${PREFIX} {fill_in(self.cmd, values, quote=self.quote)}", running_task())
