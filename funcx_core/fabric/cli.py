"""The command ``funcx``: a fabric on this machine, started, looked at and stopped."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import msgspec

from funcx_core import __version__, logs
from funcx_core.fabric.access.cli import login, logout, token
from funcx_core.fabric.autoload.cli import jupyter
from funcx_core.fabric.typed_errors import typed_errors
from funcx_core.home import home


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="funcx")
def main() -> None:
    """Your own function fabric: a web service and an endpoint, on this machine.

    Its files are in ~/.funcx, or in the folder that FUNCX_HOME names.
    """
    logs.configure(None, console=True, process="funcx")


for _command in (token, login, logout, jupyter):
    main.add_command(_command)


@main.command()
@click.option("--port", type=click.IntRange(0, 65535), help="Port of the web service; any free one by default.")
@typed_errors
def up(port: int | None) -> None:
    """Start the web service and the endpoint `local`, unless they run already."""
    from funcx_core.fabric import compose

    raised = compose.up(home(), say=click.echo, port=port)
    for endpoint in raised.status.endpoints:
        click.echo(f"  {endpoint.name:<16} {endpoint.state:<8} {endpoint.id}")
    click.echo(
        "Next: in a notebook `%load_ext funcx_jupyter`, then `%%funcx local` over a cell. `funcx down` stops it all."
    )


@main.command()
@typed_errors
def down() -> None:
    """Stop every endpoint of this home and the web service."""
    from funcx_core.fabric import compose

    if compose.down(home(), say=click.echo):
        click.echo("Nothing is left running. `funcx up` starts again.")
    else:
        click.echo("Nothing was running.")


@main.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for scripts.")
@click.option("--web", is_flag=True, help="In a browser: the same as `funcx open`.")
@typed_errors
def status(*, as_json: bool, web: bool) -> None:
    """Show what runs."""
    from funcx_core.fabric import compose

    if web:
        _open_page(no_browser=False)
        return
    found = compose.status(home())
    if as_json:
        click.echo(msgspec.json.encode(found).decode())
        return
    if found.service_address is None:
        click.echo("The web service is not running. Start it: funcx up")
        return
    click.echo(f"The web service runs at {found.service_address}")
    for endpoint in found.endpoints:
        click.echo(f"  {endpoint.name:<16} {endpoint.state:<8} {endpoint.id}")
    if not found.endpoints:
        click.echo(
            "  No endpoint of yours is known here. `funcx up` starts one, and signs in again if that is what is missing."
        )


@main.command("open")
@click.option("--no-browser", is_flag=True, help="Print the link and open nothing.")
@typed_errors
def open_page(*, no_browser: bool) -> None:
    """Open the status page in a browser, signed in.

    The link works once, for a minute.
    """
    _open_page(no_browser=no_browser)


def _open_page(*, no_browser: bool) -> None:
    import webbrowser

    from funcx_core.fabric import compose

    link = compose.page_link(home())
    click.echo(link)
    if not no_browser and not webbrowser.open(link):
        click.echo("No browser was found here: open the link in one. It works once, for a minute.", err=True)


@main.command()
@typed_errors
def doctor() -> None:
    """Check what a fabric needs of this machine, one line each."""
    from funcx_core.fabric.doctor import examine

    findings = examine(home())
    for finding in findings:
        mark = click.style("✗", fg="red") if finding.fix else click.style("✓", fg="green")
        click.echo(f"{mark} {finding.name:<12} {finding.found}{'  → ' + finding.fix if finding.fix else ''}")
    sys.exit(1 if any(finding.fix for finding in findings) else 0)


@main.command()
@click.argument("notebook", type=click.Path(path_type=Path), default=Path("notebooks/quickstart.ipynb"))
@typed_errors
def demo(notebook: Path) -> None:
    """Run a notebook on a new fabric, show what happens, and leave nothing behind."""
    from funcx_core.fabric.demo import demo as run
    from funcx_core.fabric.terminal import Terminal

    sys.exit(0 if run(notebook, Terminal()) else 1)


@main.command(context_settings={"ignore_unknown_options": True})
@click.option("--folder", type=click.Path(path_type=Path), default=Path("notebooks"), help="What to open.")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@typed_errors
def lab(folder: Path, arguments: tuple[str, ...]) -> None:
    """Open JupyterLab with the fabric running. Further ARGUMENTS go to JupyterLab."""
    from funcx_core.fabric.lab import lab as run
    from funcx_core.fabric.terminal import Terminal

    sys.exit(run(home(), folder, Terminal(), arguments))


if __name__ == "__main__":
    main()
