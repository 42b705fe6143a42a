"""What a `%%funcx` cell asks for."""

from __future__ import annotations

from typing import Final

import msgspec

from funcx_core.ids import ContainerId
from funcx_core.protocol.resources import Resources
from funcx_jupyter.cellmaps.clause import MapClause
from funcx_jupyter.session.environment import STRICT

AUTO: Final = "auto"
NONE: Final = "none"
ALL: Final = "*"
CANCEL: Final = "cancel"
DETACH: Final = "detach"
STAGE: Final = 60.0
"""Seconds of sending inputs for which nobody is asked."""


class CellOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What the user asked for.

    Attributes:
        endpoint: name or id; None for the default.
        is_shell: the cell is a script for the shell, not Python.
        inputs: names of the variables to send; None to find them.
        exclude: names of variables that are not sent, whatever uses them.
        outputs: names to bring back; `ALL` alone for everything that the cell assigns at top level.
        refs: names to leave on the endpoint, as references here.
        walltime: seconds after which the cell is stopped.
        retries: how often the cell may be run again if its worker, manager or endpoint dies.
        priority: how urgent it is among the user's tasks at the endpoint, -100 to 100.
        resources: what the cell needs of its node.
        container: the registered container to run in; None for the endpoint's own environment.
        requires: what has to be installed where it runs: requirements such as ``numpy>=2``.
        on_interrupt: what the first ■ does: `CANCEL` the task, or `DETACH` from it.
        stream: whether output is shown while the cell runs.
        progress: how progress bars of the cell are shown: as bars (``auto``), as characters (``text``) or not (``off``).
        quiet: no header line.
        verbose: more in the header, whole tracebacks.
        explain: say what would be sent, and send nothing.
        env: what to do about modules that the endpoint does not have: refuse the cell, say so, or nothing.
        wait_endpoint: seconds for which the cell may wait for an endpoint that is offline.
        fallback: where to run instead if it is.
        is_async: return at once, with a task to wait for.
        name: what the task is called; an asynchronous cell assigns it.
        after: names or ids of tasks that must succeed before the cell starts.
        local: run in this kernel, as an endpoint would.
        compare: run in this kernel, too, and compare.
        map: run once for each element of something, with a variable bound to it.
        chunk: elements that travel as one; None to measure.
        stage: seconds that sending large inputs may take.
        cache: attach to the task of this cell that runs already, if nothing has changed since.
    """

    endpoint: str | None = None
    is_shell: bool = False
    inputs: tuple[str, ...] | None = None
    exclude: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    refs: tuple[str, ...] = ()
    walltime: float | None = None
    retries: int = 0
    priority: int = 0
    resources: Resources | None = None
    container: ContainerId | None = None
    requires: tuple[str, ...] = ()
    on_interrupt: str = CANCEL
    stream: bool = True
    progress: str = AUTO
    quiet: bool = False
    verbose: bool = False
    explain: bool = False
    cache: bool = True
    env: str = STRICT
    wait_endpoint: float | None = None
    fallback: str | None = None
    is_async: bool = False
    name: str = ""
    after: tuple[str, ...] = ()
    local: bool = False
    compare: bool = False
    map: MapClause | None = None
    chunk: int | None = None
    stage: float = STAGE
