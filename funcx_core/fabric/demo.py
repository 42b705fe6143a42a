"""`funcx demo`: the main job, once, in a fabric of its own that leaves nothing behind."""

from __future__ import annotations

import asyncio
import importlib
import os
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from funcx_core.errors import FuncxError, UsageError
from funcx_core.fabric import compose, leftovers, service_process
from funcx_core.fabric.notebook import CellOutcome, run_notebook
from funcx_core.fabric.task_table import HEADER, lines, task_row
from funcx_core.fabric.terminal import Terminal

MOST_TASKS: Final = 200


def demo(notebook: Path, terminal: Terminal) -> bool:
    """Run the notebook on a new fabric; return whether every cell did what it should and nothing is left behind."""
    if not notebook.is_file():
        raise UsageError(
            f"There is no notebook {notebook}. Run `funcx demo` in a clone of the repository, or name one."
        )
    start = time.perf_counter()
    with _terminable(), _own_home() as home:
        ports: set[int] = set()
        try:
            outcomes = _run(home, notebook, terminal, ports)
        finally:
            left = _clear_away(home, terminal, ports)
    problems = [f"cell {outcome.number} {outcome.problem}" for outcome in outcomes if outcome.problem] + left
    for problem in problems:
        terminal.step(f"Problem: {problem}")
    if not problems:
        terminal.step(
            f"All {len(outcomes)} cells did what they should, in {time.perf_counter() - start:.1f} s all told."
        )
        terminal.say("\nNext: `make lab` opens JupyterLab on this notebook, with a fabric running.")
    return not problems


def _run(home: Path, notebook: Path, terminal: Terminal, ports: set[int]) -> list[CellOutcome]:
    importing = threading.Thread(target=_import_jupyter, daemon=True)
    importing.start()
    raised = compose.up(home, say=terminal.step, port=0)
    importing.join()
    ports |= leftovers.listening_ports({found.pid for found in leftovers.processes(home)})
    outcomes = asyncio.run(run_notebook(notebook, terminal=terminal, log_file=home / "kernel.log"))
    terminal.say()
    _show_tasks(home, str(raised.status.service_address), terminal)
    return outcomes


def _show_tasks(home: Path, address: str, terminal: Terminal) -> None:
    reply: Any = service_process.get_json(f"{address}/tasks?limit={MOST_TASKS}", token=compose.token(home)) or {}
    rows = [task_row(task) for task in reversed(reply.get("tasks", []))]
    terminal.step(f"Tasks of this run{f' (the last {MOST_TASKS})' if len(rows) >= MOST_TASKS else ''}:")
    terminal.table(HEADER, lines(rows))


def _import_jupyter() -> None:
    """Import what runs the notebook: it takes a second or two, in which the fabric starts."""
    for name in ("nbformat", "nbclient", "jupyter_client.manager"):
        importlib.import_module(name)


def _clear_away(home: Path, terminal: Terminal, ports: set[int]) -> list[str]:
    """Stop everything; return what is left in spite of that, in words."""
    try:
        compose.down(home, say=terminal.step)
    except FuncxError as error:
        terminal.step(str(error))
    alive = leftovers.processes(home)
    for found in alive:
        os.kill(found.pid, signal.SIGKILL)
    left = [
        *(f"process {found.pid} was left behind: {found.command[:100]}" for found in alive),
        *(f"port {port} is still open" for port in sorted(ports) if leftovers.is_listening(port)),
        *(f"lock {path} is still held" for path in leftovers.held_locks(home)),
    ]
    if not left:
        terminal.step("No process, port or lock is left behind.")
    return left


@contextmanager
def _own_home() -> Iterator[Path]:
    """A temporary home that this process, and every process it starts, uses instead of the user's."""
    home = Path(tempfile.mkdtemp(prefix="funcx-demo-"))
    before = dict(os.environ)
    for name in [name for name in os.environ if name.startswith(("FUNCX_", "JUPYTER_"))]:
        del os.environ[name]
    os.environ.update(
        FUNCX_HOME=str(home),
        IPYTHONDIR=str(home / "ipython"),
        JUPYTER_DATA_DIR=str(home / "jupyter"),
        JUPYTER_RUNTIME_DIR=str(home / "jupyter" / "runtime"),
    )
    try:
        yield home
    finally:
        os.environ.clear()
        os.environ.update(before)
        shutil.rmtree(home, ignore_errors=True)


@contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end the demo as Ctrl-C does, so that it still clears away."""

    def interrupt(_number: int, _frame: Any) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
