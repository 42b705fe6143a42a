"""``python -m funcx_endpoint.interchange --folder DIR``: an endpoint's agent, in the foreground."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import sys
import time
from pathlib import Path

from funcx_core import logs
from funcx_core.errors import Conflict, FuncxError
from funcx_core.fail_fast import CRASH_EXIT, end_with_callbacks, end_with_threads
from funcx_core.garbage import pass_over_what_is_there
from funcx_core.transport.loop import run
from funcx_core.transport.zmq import KeyPair
from funcx_endpoint.config import Config
from funcx_endpoint.config_file import load_config
from funcx_endpoint.executors import HighThroughputExecutor
from funcx_endpoint.executors.alone import handover
from funcx_endpoint.executors.alone.agent import remove_if_abandoned
from funcx_endpoint.folder import AgentLock, EndpointFolder
from funcx_endpoint.interchange.process import Agent
from funcx_endpoint.interchange.readiness import NOT_DETACHED, Readiness
from funcx_endpoint.processes import ENDPOINT_DIR_VARIABLE

_log = logging.getLogger("funcx_endpoint.interchange")


def main() -> int:
    """Run the agent of one endpoint until it is stopped."""
    arguments = _arguments()
    folder = EndpointFolder(arguments.folder)
    readiness = Readiness(arguments.ready_fd)
    os.umask(0o077)
    os.environ[ENDPOINT_DIR_VARIABLE] = str(folder.path)
    logs.configure(
        folder.logs / "agent.log",
        console=arguments.ready_fd is None,
        process="agent",
        level=arguments.log_level,
        ids={"endpoint": folder.name},
    )
    lock = AgentLock(folder.lock)
    try:
        lock.acquire()
    except Conflict as error:
        readiness.failed(str(error), error.code)
        return 1
    end_with_threads(lambda words: _last_words(folder, words))
    try:
        run(_run(folder, readiness, arguments.log_level, arguments.lifeline_fd))
    except FuncxError as error:
        _log.error("the endpoint stops: %s", error)
        readiness.failed(str(error), error.code)
        _last_words(folder, str(error))
        return 1
    except Exception as error:  # noqa: BLE001 - the one broad except of this process
        _log.exception("the agent died of an error of its own")
        _last_words(folder, f"internal error: {type(error).__name__}: {error}")
        readiness.failed(f"The agent died of an internal error; see {folder.logs / 'agent.log'}.", "unknown_error")
        return CRASH_EXIT
    finally:
        lock.release()
        if arguments.lifeline_fd is not None:
            remove_if_abandoned(folder, arguments.lifeline_fd)
    return 0


def _last_words(folder: EndpointFolder, words: str) -> None:
    folder.write_last_error(words, at=time.time())


async def _run(folder: EndpointFolder, readiness: Readiness, level: logs.Level, lifeline: int | None) -> None:
    end_with_callbacks(asyncio.get_running_loop(), lambda words: _last_words(folder, words))
    readiness.progress("reading its configuration")
    forwarder = None
    if lifeline is None:
        config = load_config(folder.path)
    else:
        executor, forwarder = handover.take(folder.path)
        config = Config(executors=[HighThroughputExecutor(**executor)], **handover.ENDPOINT)
    if not (config.detach_endpoint or readiness.is_final):
        readiness.failed("", NOT_DETACHED)
        return
    pass_over_what_is_there()
    keys = KeyPair.load_or_create(folder.keys)
    endpoint_id = folder.ensure_endpoint_id()
    agent = Agent(
        folder, config, endpoint_id=endpoint_id, keys=keys, readiness=readiness, forwarder=forwarder, level=level
    )
    if lifeline is not None:
        agent.end_with(lifeline)
    await agent.run()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m funcx_endpoint.interchange", description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="the endpoint's folder")
    parser.add_argument("--ready-fd", type=int, default=None, help="pipe on which to say that the endpoint is online")
    parser.add_argument(
        "--lifeline-fd", type=int, default=None, help="pipe to the executor that this agent works for, and ends with"
    )
    parser.add_argument("--log-level", type=logs.Level, default=logs.Level.INFO, help="how much is logged")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
