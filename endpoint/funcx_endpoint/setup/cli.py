"""The commands that make and remove endpoints, and the one that sets up a shell."""

from __future__ import annotations

from pathlib import Path

import click
from click.shell_completion import get_completion_class

from funcx_core.errors import AuthRequired, NotConfigured
from funcx_core.home import home, write_private
from funcx_endpoint import global_options, lifecycle, templates
from funcx_endpoint.folder import endpoint_folder
from funcx_endpoint.name_argument import name_argument
from funcx_endpoint.plain_errors import plain_errors

DEFAULT = "default"


@click.command(short_help="Set up this user for the first time.")
@plain_errors
def init() -> None:
    """Set up this user for the first time: a folder, global options and the endpoint "default".

    What is there already stays as it is.
    """
    options = home() / "config.py"
    if not options.exists():
        write_private(options, global_options.TEMPLATE.encode())
    folder = endpoint_folder(DEFAULT)
    if not folder.exists:
        lifecycle.configure(folder)
    click.echo(f"Endpoints of this user are in {home()}; what they share is set in {options}.")
    click.echo(_next_step())


def _next_step() -> str:
    from funcx_core.sdk.settings import load_settings

    try:
        found = load_settings().require_token()
    except (AuthRequired, NotConfigured) as error:
        return f"{error} With Globus: funcx-endpoint login" if isinstance(error, AuthRequired) else str(error)
    return f"They register with {found.service_address}. Start the endpoint: funcx-endpoint start"


@click.command(
    short_help="Make a new endpoint.",
    epilog="Templates: " + ", ".join(templates.names()) + ". `funcx-endpoint templates` says what they are for.",
)
@name_argument
@click.option(
    "--endpoint-config",
    type=click.Path(dir_okay=False, exists=True, path_type=Path),
    help="Copy this config.py or config.yaml.",
)
@click.option(
    "--template",
    metavar="TEMPLATE",
    shell_complete=lambda _, __, begun: [name for name in templates.names() if name.startswith(begun)],
    help=f"Which ready configuration to begin with. [default: {templates.DEFAULT}]",
)
@plain_errors
def configure(name: str, *, endpoint_config: Path | None, template: str | None) -> None:
    """Make an endpoint called NAME (default: "default") with a configuration to edit."""
    if endpoint_config is not None and template is not None:
        raise click.UsageError("--endpoint-config and --template stand alone: one of them is the configuration.")
    path = lifecycle.configure(endpoint_folder(name), template=template or templates.DEFAULT, source=endpoint_config)
    blank = "YOUR_" in path.read_text(errors="replace")
    hint = "Fill in what begins with YOUR_, then start it" if blank else "Start it"
    click.echo(f"Endpoint '{name}' is configured in {path}. {hint} with: funcx-endpoint start {name}")


@click.command("templates")
@click.argument("template", required=False)
@plain_errors
def show_templates(template: str | None) -> None:
    """List the ready configurations, or print one."""
    if template is not None:
        click.echo(templates.text(template), nl=False)
        return
    for name in templates.names():
        click.echo(f"{name:12}  {templates.summary(name)}")


@click.command(short_help="Delete an endpoint that does not run.")
@name_argument
@click.option("--remote", is_flag=True, help="Remove it from the service too; its open tasks are cancelled.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@plain_errors
def delete(name: str, *, remote: bool, yes: bool) -> None:
    """Delete endpoint NAME, which must not run, with its configuration, its logs and undelivered results."""
    folder = endpoint_folder(name)
    lifecycle.require_stopped(folder)
    if not yes and not _agrees(f"Delete {folder.path} with everything in it?"):
        raise click.ClickException("Nothing was deleted. To delete without a question: --yes")
    if remote:
        from funcx_endpoint.account import remote as service

        service.remove(folder)
    lifecycle.remove(folder)
    click.echo(f"Endpoint '{name}' is deleted{' here and at the service' if remote else ''}.")


def _agrees(question: str) -> bool:
    try:
        return click.confirm(question)
    except click.Abort:  # There is nobody to ask.
        click.echo(err=True)
        return False


@click.command(short_help="Print a script for your shell's completion.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print what makes a shell complete commands, options and names of endpoints.

    In ~/.bashrc: eval "$(funcx-endpoint completion bash)"
    """
    made = get_completion_class(shell)
    if made is not None:
        click.echo(made(context.find_root().command, {}, "funcx-endpoint", "_FUNCX_ENDPOINT_COMPLETE").source())
