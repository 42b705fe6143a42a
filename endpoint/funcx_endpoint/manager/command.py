"""``python -m funcx_endpoint.manager --settings FILE --block-id ID``."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import sys
import uuid
from pathlib import Path

from msgspec import structs

from funcx_core.fail_fast import CRASH_EXIT, end_with_callbacks, end_with_threads
from funcx_core.garbage import pass_over_what_is_there
from funcx_core.ids import BlockId, ManagerId
from funcx_core.logs import configure
from funcx_core.transport.loop import run
from funcx_endpoint.manager.node.block_nodes import block_nodes
from funcx_endpoint.manager.process import ManagerProcess
from funcx_endpoint.manager.settings import ManagerSettings

_log = logging.getLogger(__name__)


def main(arguments: list[str] | None = None) -> None:
    """Be a manager, until its interchange or the end of its agent says otherwise."""
    options = _parse(arguments)
    settings = ManagerSettings.load(Path(options.settings))
    log_file = Path(settings.log_dir) / f"manager-{os.getpid()}.log"
    manager_id, block_id = ManagerId(str(uuid.uuid4())), BlockId(options.block_id)
    ids = {"endpoint_id": settings.endpoint_id, "block_id": block_id, "manager_id": manager_id}
    configure(log_file, console=False, process="manager", level=settings.log_level, ids=ids)
    end_with_threads()
    try:
        if settings.launcher:
            settings = _on_all_nodes(settings)
        run(_run(ManagerProcess(settings, block_id, manager_id, options.container)))
    except Exception:  # noqa: BLE001 - the one of this process: whatever it was is in its log
        _log.exception("the manager ends by an error of its own")
        sys.exit(CRASH_EXIT)


async def _run(manager: ManagerProcess) -> None:
    end_with_callbacks(asyncio.get_running_loop())
    pass_over_what_is_there()
    await manager.run()


def _on_all_nodes(settings: ManagerSettings) -> ManagerSettings:
    """Return the settings of the one manager of this block."""
    nodes = block_nodes(os.environ)
    return structs.replace(settings, nodes=nodes, workers=min(settings.workers, len(nodes)))


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="funcx_endpoint.manager", description="One manager of a funcX endpoint.")
    parser.add_argument("--settings", required=True, help="file that the endpoint's agent wrote")
    parser.add_argument("--block-id", required=True, help="the block that this manager is part of")
    parser.add_argument(
        "--container", help="id of the container in which it runs itself, whose tasks it takes; empty for none"
    )
    return parser.parse_args(arguments)
