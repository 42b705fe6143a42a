"""Executes a notebook in a real Jupyter kernel and judges every cell.

A cell tagged ``raises-exception`` must raise; every other cell must not. A cell tagged ``interrupt-after-N`` is
interrupted N seconds after it started, as by the ■ button.
"""

from __future__ import annotations

import asyncio
import re
import time
from pathlib import Path
from typing import Any, Final

import msgspec

from funcx_core.fabric.terminal import Terminal

CELL_TIMEOUT: Final = 120
_INTERRUPT: Final = re.compile(r"interrupt-after-([\d.]+)")


class CellOutcome(msgspec.Struct, frozen=True):
    """How one code cell ended. `problem` is empty if it did what it should."""

    number: int
    seconds: float
    problem: str = ""


async def run_notebook(path: Path, *, terminal: Terminal, log_file: Path) -> list[CellOutcome]:
    """Execute the code cells in order, showing them live; stop after the first that fails.

    What the kernel itself writes goes to `log_file`. The kernel is gone when this returns or raises.
    """
    import nbformat  # noqa: PLC0415 - Jupyter is needed by the demo only
    from jupyter_client.manager import AsyncKernelManager  # noqa: PLC0415

    book = nbformat.read(path, as_version=4)
    cells = [cell for cell in book.cells if cell.cell_type == "code" and cell.source.strip()]
    manager = AsyncKernelManager(kernel_name="python3")
    with log_file.open("ab") as log:
        await manager.start_kernel(cwd=str(path.parent), stdout=log, stderr=log)
    try:
        return await _run_cells(book, cells, manager, terminal)
    finally:
        await asyncio.shield(manager.shutdown_kernel(now=True))


async def _run_cells(book: Any, cells: list[Any], manager: Any, terminal: Terminal) -> list[CellOutcome]:
    client = _client(book, manager, terminal)
    await client.async_start_new_kernel_client()
    outcomes = []
    try:
        for number, cell in enumerate(cells, 1):
            outcomes.append(await _run_cell(client, cell, number, len(cells), terminal))
            if outcomes[-1].problem:
                break
    finally:
        client.kc.stop_channels()
    return outcomes


async def _run_cell(client: Any, cell: Any, number: int, of: int, terminal: Terminal) -> CellOutcome:
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError  # noqa: PLC0415

    tags = cell.metadata.get("tags", [])
    terminal.cell_starts(number, of, cell.source)
    interrupt = asyncio.ensure_future(_interrupt_later(client.km, tags))
    start = time.perf_counter()
    problem = ""
    try:
        await client.async_execute_cell(cell, client.nb.cells.index(cell))
    except CellExecutionError as error:
        problem = f"raised {error.ename}: {error.evalue}"
    except CellTimeoutError:
        problem = f"did not end within {CELL_TIMEOUT} s"
    except DeadKernelError:
        if (task := asyncio.current_task()) is not None and task.cancelling():
            raise asyncio.CancelledError from None  # Ctrl-C, which nbclient takes for the kernel's death
        problem = "the kernel died"
    finally:
        interrupt.cancel()
    seconds = time.perf_counter() - start
    expected = "raises-exception" in tags
    raised = any(output.output_type == "error" for output in cell.get("outputs", []))
    if expected and not raised and not problem:
        problem = "should have raised and did not"
    terminal.cell_ends(
        good=not problem, seconds=seconds, remark=problem or ("(raised, as it should)" if expected else "")
    )
    return CellOutcome(number, seconds, problem)


async def _interrupt_later(manager: Any, tags: list[str]) -> None:
    for tag in tags:
        if found := _INTERRUPT.fullmatch(tag):
            await asyncio.sleep(float(found[1]))
            await manager.interrupt_kernel()


def _client(book: Any, manager: Any, terminal: Terminal) -> Any:
    from nbclient import NotebookClient  # noqa: PLC0415

    client = NotebookClient(book, km=manager, timeout=CELL_TIMEOUT)
    client.reset_execution_trackers()
    store = client.process_message

    def show_and_store(msg: dict[str, Any], cell: Any, cell_index: int) -> Any:
        terminal.message(msg["msg_type"], msg["content"])
        return store(msg, cell, cell_index)

    client.process_message = show_and_store
    return client
