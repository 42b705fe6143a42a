"""The command ``forwarder-service``: a forwarder without a web service, for finding out on which side of it a fault is."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from funcx_core import logs
from funcx_core.errors import ConfigError, FuncxError
from funcx_core.home import home, private_dir, write_private
from funcx_core.sdk.settings import BROKER_FILE, broker_settings

USUAL_PORT: Final = 50005
USAGE_EXIT: Final = 2


@click.group(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--address", default="127.0.0.1", show_default=True, help="Loopback address to listen on.")
@click.option("--port", default=USUAL_PORT, show_default=True, help="Port of HTTP; 0 for any free one.")
@click.option("--heartbeat-period", default=5.0, show_default=True, help="Seconds between heartbeats.")
@click.option(
    "--heartbeat-threshold", default=30.0, show_default=True, help="Seconds until a silent endpoint is offline."
)
@click.option("--debug", is_flag=True, help="Log more.")
@click.pass_context
def cli(
    context: click.Context,
    *,
    address: str,
    port: int,
    heartbeat_period: float,
    heartbeat_threshold: float,
    debug: bool,
) -> None:
    """Run a forwarder that endpoints register with directly, without a web service, until Ctrl-C.

    An endpoint uses it when its config.py has
    Config(broker_address="http://127.0.0.1:50005", broker_test=True, ...). Nothing that it holds survives its end.
    """
    if context.invoked_subcommand is not None:
        return
    from funcx_core.transport.loop import run

    logs.configure(
        home() / "forwarder-service.log",
        console=True,
        level=logs.Level.DEBUG if debug else logs.Level.INFO,
        process="forwarder-service",
    )
    run(_serve(address, port, heartbeat_period, heartbeat_threshold))


@cli.command("test")
@click.option("--endpoint", help="Id or name of the endpoint; the only one that is connected if it is not given.")
@click.option("--timeout", default=60.0, show_default=True, help="Seconds to wait for each result.")
def trial(*, endpoint: str | None, timeout: float) -> None:
    """Run two functions on an endpoint that is connected to the forwarder-service: one returns, one raises."""
    from funcx_core.fabric.direct_trial import run_trial

    for line in run_trial(broker_settings(), endpoint, timeout):
        click.echo(line)


async def _serve(address: str, port: int, heartbeat_period: float, heartbeat_threshold: float) -> None:
    from funcx_core.forwarder.direct import DirectForwarder
    from funcx_core.transport.zmq import KeyPair

    if not 0 < heartbeat_period < heartbeat_threshold:
        raise ConfigError("The heartbeat threshold must be longer than the period, and the period longer than 0.")
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    keys = KeyPair.load_or_create(private_dir(home() / "forwarder-service") / "forwarder.key")
    direct = DirectForwarder(
        address, port, keys=keys, heartbeat_period=heartbeat_period, heartbeat_threshold=heartbeat_threshold
    )
    path = home() / BROKER_FILE
    async with direct:
        announced = {"address": direct.address, "token": direct.token, "pid": os.getpid()}
        write_private(path, msgspec.json.format(msgspec.json.encode(announced)))
        try:
            click.echo(f"forwarder-service listens at {direct.address}")
            until = [asyncio.ensure_future(stop.wait()), asyncio.ensure_future(direct.wait())]
            done, left = await asyncio.wait(until, return_when=asyncio.FIRST_COMPLETED)
            for future in left:
                future.cancel()
            for future in done:
                future.result()
        finally:
            _remove(path, announced)


def _remove(path: Path, announced: dict[str, Any]) -> None:
    """Remove the file, unless another one has written its own meanwhile."""
    try:
        found = msgspec.json.decode(path.read_bytes())
    except (OSError, msgspec.MsgspecError):
        return
    if found == announced:
        path.unlink(missing_ok=True)


def main() -> None:
    """Run the command line."""
    try:
        cli(prog_name="forwarder-service")
    except FuncxError as error:
        print(f"forwarder-service: {error}", file=sys.stderr)
        sys.exit(USAGE_EXIT)


if __name__ == "__main__":
    main()
