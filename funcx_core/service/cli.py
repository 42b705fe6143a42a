"""``funcx-service``: runs the service in the foreground; ``funcx-service token`` makes another token."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Final

import click

from funcx_core import logs
from funcx_core.errors import FuncxError
from funcx_core.home import home, write_private
from funcx_core.service.app import Service, mint_token
from funcx_core.service.config import ServiceConfig
from funcx_core.transport.loop import run

USAGE_EXIT: Final = 2
CRASH_EXIT: Final = 70
SWITCH_INTERVAL: Final = 0.0001
"""Seconds that the store's threads wait for the interpreter, for every row they read, while the loop computes. 5 ms is usual."""

_log = logging.getLogger(__name__)


def _ports(_context: click.Context, _parameter: click.Parameter, text: str) -> tuple[int, int, int]:
    try:
        tasks, results, commands = (int(part) for part in text.split(","))
    except ValueError:
        raise click.BadParameter(f"'{text}' is not three numbers such as 55001,55002,55003.") from None
    return tasks, results, commands


@click.group(invoke_without_command=True)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=int, help="Port of HTTP; 0 for any free one. [default: the last one used, else 5000]")
@click.option("--data-dir", type=click.Path(path_type=Path), help="[default: $FUNCX_HOME/service]")
@click.option("--heartbeat-period", default=5.0, show_default=True, help="Seconds between heartbeats of endpoints.")
@click.option("--heartbeat-threshold", default=30.0, show_default=True, help="Seconds until a silent one is offline.")
@click.option("--forwarder-ports", default="0,0,0", callback=_ports, help="Ports for tasks,results,commands.")
@click.option("--ready-file", type=click.Path(path_type=Path), help="File to write the address to once it serves.")
@click.option("--log-file", type=click.Path(path_type=Path), help="[default: service.log in the data folder]")
@click.option("--debug", is_flag=True, help="Log more.")
@click.pass_context
def cli(
    context: click.Context,
    *,
    host: str,
    port: int | None,
    data_dir: Path | None,
    heartbeat_period: float,
    heartbeat_threshold: float,
    forwarder_ports: tuple[int, int, int],
    ready_file: Path | None,
    log_file: Path | None,
    debug: bool,
) -> None:
    """Run the funcX web service and forwarder until SIGTERM or Ctrl-C."""
    config = ServiceConfig(
        data_dir=data_dir or home() / "service",
        host=host,
        port=port,
        forwarder_ports=forwarder_ports,
        heartbeat_period=heartbeat_period,
        heartbeat_threshold=heartbeat_threshold,
    )
    context.obj = config
    if context.invoked_subcommand is not None:
        return
    config.check()
    config.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    logs.configure(log_file or config.data_dir / "service.log", console=True, debug=debug, process="service")
    _run(_serve(config, ready_file))


@cli.command()
@click.option("--label", default="funcx token", show_default=True, help="What the token is for.")
@click.option("--days", type=float, help="Days until it expires. [default: never]")
@click.pass_obj
def token(config: ServiceConfig, *, label: str, days: float | None) -> None:
    """Print a new bearer token for the local user."""
    lifetime = None if days is None else days * 86400
    print(_run(mint_token(config.data_dir, label=label, lifetime=lifetime)))


async def _serve(config: ServiceConfig, ready_file: Path | None) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with Service(config, home()) as service:
        if ready_file is not None:
            write_private(ready_file, service.address.encode() + b"\n")
        until = [asyncio.ensure_future(stop.wait()), asyncio.ensure_future(service.wait())]
        done, left = await asyncio.wait(until, return_when=asyncio.FIRST_COMPLETED)
        for future in left:
            future.cancel()
        for future in done:
            future.result()
        _log.info("stopping")


def _run(work: Coroutine[Any, Any, Any]) -> Any:
    sys.setswitchinterval(SWITCH_INTERVAL)
    return run(work)


def main() -> None:
    """Run the command line. Exit status: 2 for what the caller can fix, 70 for a fault of ours."""
    try:
        cli(prog_name="funcx-service")
    except FuncxError as error:
        print(f"funcx-service: {error}", file=sys.stderr)
        sys.exit(USAGE_EXIT)
    except Exception:  # noqa: BLE001 - the one of this process: logged with its traceback, and the process ends
        _log.exception("the service ends because of a fault of its own")
        logging.shutdown()
        # Threads of a broken process must not keep it alive: whoever started it starts it again.
        os._exit(CRASH_EXIT)


if __name__ == "__main__":
    main()
