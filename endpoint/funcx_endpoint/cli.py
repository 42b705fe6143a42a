"""The command ``funcx-endpoint``. Exit codes: 0 done, 1 failed, 2 wrong usage."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any

import click
import msgspec

from funcx_core import __version__
from funcx_core.errors import FuncxError
from funcx_endpoint import lifecycle
from funcx_endpoint.folder import all_endpoints, endpoint_folder

CONTEXT = {"help_option_names": ["-h", "--help"]}
_name = click.argument("name", default="default", required=False)


def _plain_errors(command: Callable[..., Any]) -> Callable[..., Any]:
    """Show our errors as one line, without a traceback."""

    @functools.wraps(command)
    def run(*args: Any, **options: Any) -> Any:
        try:
            return command(*args, **options)
        except FuncxError as error:
            raise click.ClickException(str(error)) from None

    return run


@click.group(context_settings=CONTEXT)
def main() -> None:
    """Manage the funcX endpoints of this machine."""


@main.command()
@_name
@_plain_errors
def configure(name: str) -> None:
    """Make an endpoint called NAME (default: "default") with a config.py to edit."""
    folder = endpoint_folder(name)
    lifecycle.configure(folder)
    click.echo(f"Endpoint '{name}' is configured in {folder.config}. Start it with: funcx-endpoint start {name}")


@main.command()
@_name
@click.option("--debug", is_flag=True, help="Log more.")
@click.option("--foreground", is_flag=True, help="Stay in the terminal and log to it.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=1),
    default=lifecycle.START_TIMEOUT,
    help="Seconds to wait until it is online.",
)
@_plain_errors
def start(name: str, *, debug: bool, foreground: bool, timeout: float) -> None:
    """Start endpoint NAME; returns when it is online."""
    folder = endpoint_folder(name)
    if foreground:
        sys.exit(lifecycle.run_in_foreground(folder, debug=debug))
    _start(name, debug=debug, timeout=timeout)


@main.command()
@_name
@click.option("--grace", type=click.FloatRange(min=0), default=None, help="Seconds that running tasks get to finish.")
@_plain_errors
def stop(name: str, *, grace: float | None) -> None:
    """Stop endpoint NAME; returns when no process of it is left."""
    _stop(name, grace)


@main.command()
@_name
@click.option("--grace", type=click.FloatRange(min=0), default=None, help="Seconds that running tasks get to finish.")
@click.option("--debug", is_flag=True, help="Log more.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=1),
    default=lifecycle.START_TIMEOUT,
    help="Seconds to wait until it is online.",
)
@_plain_errors
def restart(name: str, *, grace: float | None, debug: bool, timeout: float) -> None:
    """Stop endpoint NAME if it runs, and start it."""
    lifecycle.require(endpoint_folder(name))
    _stop(name, grace)
    _start(name, debug=debug, timeout=timeout)


@main.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for scripts.")
@_plain_errors
def list_endpoints(*, as_json: bool) -> None:
    """Show the endpoints of this machine."""
    rows = [lifecycle.summary(folder) for folder in all_endpoints()]
    if as_json:
        shown = [{"id": row.id, "state": row.state.lower(), "detail": row.detail, "name": row.name} for row in rows]
        click.echo(msgspec.json.encode(shown).decode())
        return
    if not rows:
        click.echo("No endpoint is configured here. Make one with: funcx-endpoint configure")
        return
    click.echo(f"{'Endpoint ID':36}  {'Status':12}  Endpoint Name")
    for row in rows:
        click.echo(f"{row.id or '-':36}  {row.state:12}  {row.name}")
    for row in rows:
        if row.detail:
            click.echo(f"{row.name}: {row.detail}", err=True)


@main.command()
@_name
@click.option("--json", "as_json", is_flag=True, help="Print JSON for scripts.")
@_plain_errors
def status(name: str, *, as_json: bool) -> None:
    """Show how endpoint NAME is."""
    folder = endpoint_folder(name)
    lifecycle.require(folder)
    row = lifecycle.summary(folder)
    found = folder.status()
    runs = row.state in {lifecycle.State.RUNNING, lifecycle.State.DISCONNECTED}
    if as_json:
        shown = {"id": row.id, "state": row.state.lower(), "detail": row.detail, "name": row.name}
        click.echo(msgspec.json.encode({**shown, "agent": found if runs else None}).decode())
        return
    click.echo(f"{row.name}: {row.state}{f' ({row.detail})' if row.detail else ''}")
    if runs and found is not None:
        click.echo(
            f"{found.workers} workers on {found.managers} nodes in {found.blocks} blocks; {found.running_tasks} tasks with "
            f"managers, {found.waiting_tasks} waiting, {found.unacknowledged_results} results not yet acknowledged"
        )


@main.command()
def version() -> None:
    """Print the version."""
    click.echo(__version__)


def _start(name: str, *, debug: bool, timeout: float) -> None:
    word = lifecycle.start(endpoint_folder(name), debug=debug, timeout=timeout)
    if word is None:
        click.echo(f"Endpoint '{name}' is running already.")
    else:
        click.echo(f"Endpoint '{name}' is online{f': {word}' if word else ''}.")


def _stop(name: str, grace: float | None) -> None:
    folder = endpoint_folder(name)
    lifecycle.require(folder)
    stopped = lifecycle.stop(folder, grace=grace, say=lambda text: click.echo(text, err=True))
    click.echo(f"Endpoint '{name}' is stopped." if stopped else f"Endpoint '{name}' was not running.")


if __name__ == "__main__":
    main(prog_name="funcx-endpoint")
