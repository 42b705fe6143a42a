"""The command ``funcx-endpoint``. Exit codes: 0 done, 1 failed, 2 wrong usage."""

from __future__ import annotations

import sys
import time

import click
import msgspec

from funcx_core import __version__, logs
from funcx_core.errors import ConfigError
from funcx_core.logs import Level
from funcx_endpoint import lifecycle
from funcx_endpoint.account.cli import login, logout, whoami
from funcx_endpoint.config_file import load_config
from funcx_endpoint.control.cli import hold, release
from funcx_endpoint.folder import EndpointFolder, all_endpoints, endpoint_folder
from funcx_endpoint.manual.help import complete_help
from funcx_endpoint.name_argument import name_argument
from funcx_endpoint.plain_errors import plain_errors
from funcx_endpoint.setup.cli import completion, configure, delete, init, show_templates

CONTEXT = {"help_option_names": ["-h", "--help"]}
_grace = click.option(
    "--grace",
    type=click.FloatRange(min=0),
    default=None,
    help="Seconds that running tasks get to finish. [default: `grace` of its configuration]",
)
_log_level = click.option(
    "--log-level",
    type=click.Choice([level.value for level in Level]),
    help="How much the agent and its managers log; trace tells of every task at every hop. [default: info]",
)
_debug = click.option("--debug", is_flag=True, help="Short for --log-level debug.")
_timeout = click.option(
    "--timeout",
    type=click.FloatRange(min=1),
    default=lifecycle.START_TIMEOUT,
    show_default=True,
    help="Seconds to wait until it is online.",
)


@click.group(
    context_settings=CONTEXT,
    epilog='First: funcx-endpoint configure, then funcx-endpoint start. Everywhere NAME is "default" if left out.',
)
@click.option("--debug", is_flag=True, help="Log to the terminal, and let agents log more.")
@click.pass_context
def main(context: click.Context, *, debug: bool) -> None:
    """Manage the funcX endpoints of this machine.

    Their files are in ~/.funcx, or in the folder that FUNCX_HOME names.
    """
    context.obj = debug
    if debug:
        logs.configure(None, console=True, level=Level.DEBUG, process="funcx-endpoint")


for _command in (init, configure, show_templates, delete, login, logout, whoami, completion, hold, release):
    main.add_command(_command)


@main.command(short_help="Start an endpoint.")
@name_argument
@click.option("--endpoint-uuid", metavar="ID", help="The id of an endpoint that has none yet. [default: a new one]")
@_log_level
@_debug
@click.option(
    "--log-to-console", "--foreground", "foreground", is_flag=True, help="Stay in the terminal and log to it, too."
)
@_timeout
@click.pass_context
@plain_errors
def start(
    context: click.Context,
    name: str,
    *,
    endpoint_uuid: str | None,
    log_level: str | None,
    debug: bool,
    foreground: bool,
    timeout: float,
) -> None:
    """Start endpoint NAME; returns when it is online, or says why it is not."""
    folder = endpoint_folder(name)
    lifecycle.require(folder)
    if endpoint_uuid is not None:
        folder.create()
        folder.adopt_endpoint_id(endpoint_uuid)
    if foreground:
        sys.exit(lifecycle.run_in_foreground(folder, level=_level(log_level, debug=debug or context.obj)))
    _start(name, level=_level(log_level, debug=debug or context.obj), timeout=timeout)


@main.command(short_help="Stop an endpoint.")
@name_argument
@_grace
@click.option("--drain", is_flag=True, help="Let running tasks finish, however long they take.")
@click.option(
    "--remote", is_flag=True, help="Have the service send its agent home, on whichever machine, and lock the endpoint."
)
@plain_errors
def stop(name: str, *, grace: float | None, drain: bool, remote: bool) -> None:
    """Stop endpoint NAME; returns when no process of it is left."""
    if (grace is not None) + drain + remote > 1:
        raise click.UsageError("--grace, --drain and --remote exclude each other.")
    if remote:
        _stop_by_service(name)
    else:
        _stop(name, lifecycle.DRAIN if drain else grace)


@main.command(short_help="Stop an endpoint if it runs, and start it.")
@name_argument
@_grace
@_log_level
@_debug
@_timeout
@click.pass_context
@plain_errors
def restart(
    context: click.Context, name: str, *, grace: float | None, log_level: str | None, debug: bool, timeout: float
) -> None:
    """Stop endpoint NAME if it runs, and start it."""
    folder = endpoint_folder(name)
    lifecycle.require(folder)
    load_config(folder.path)  # An endpoint that could not start again goes on.
    _stop(name, grace)
    _start(name, level=_level(log_level, debug=debug or context.obj), timeout=timeout)


@main.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for scripts.")
@plain_errors
def list_endpoints(*, as_json: bool) -> None:
    """Show the endpoints of this machine."""
    rows = [_row(folder) for folder in all_endpoints()]
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


@main.command(short_help="Show how an endpoint is.")
@name_argument
@click.option("--json", "as_json", is_flag=True, help="Print JSON for scripts.")
@plain_errors
def status(name: str, *, as_json: bool) -> None:
    """Show how endpoint NAME is: blocks, managers, workers, tasks, and what went wrong last."""
    from funcx_endpoint import endpoint_report

    folder = endpoint_folder(name)
    lifecycle.require(folder)
    found = endpoint_report.report(folder)
    if as_json:
        click.echo(msgspec.json.encode(found).decode())
        return
    for line in endpoint_report.lines(found):
        click.echo(line)


@main.command()
def version() -> None:
    """Print the version."""
    click.echo(__version__)


def _row(folder: EndpointFolder) -> lifecycle.Summary:
    """One folder that cannot be read must not hide the others."""
    try:
        return lifecycle.summary(folder)
    except ConfigError as error:
        return lifecycle.Summary(id=None, state=lifecycle.State.STOPPED, detail=str(error), name=folder.name)


def _level(log_level: str | None, *, debug: bool) -> Level:
    if log_level is not None:
        return Level(log_level)
    return Level.DEBUG if debug else Level.INFO


def _start(name: str, *, level: Level, timeout: float) -> None:
    folder = endpoint_folder(name)
    try:
        word = lifecycle.start(folder, level=level, timeout=timeout)
    except lifecycle.NotDetached:
        sys.exit(lifecycle.run_in_foreground(folder, level=level))
    if word is None:
        click.echo(f"Endpoint '{name}' is running already.")
    else:
        click.echo(f"Endpoint '{name}' is online{f': {word}' if word else ''}.")


def _stop(name: str, grace: float | None) -> None:
    folder = endpoint_folder(name)
    lifecycle.require(folder)
    stopped = lifecycle.stop(folder, grace=grace, say=lambda text: click.echo(text, err=True))
    click.echo(f"Endpoint '{name}' is stopped." if stopped else f"Endpoint '{name}' was not running.")


def _stop_by_service(name: str) -> None:
    from funcx_endpoint.account import remote

    folder = endpoint_folder(name)
    lifecycle.require(folder)
    until = time.strftime("%H:%M:%S", time.localtime(remote.lock(folder)))
    click.echo(f"The service sends the agent of endpoint '{name}' home; no agent of it can register before {until}.")


complete_help(main)


if __name__ == "__main__":
    main(prog_name="funcx-endpoint")
