"""The command ``funcx jupyter``."""

from __future__ import annotations

import click

from funcx_core.fabric.typed_errors import typed_errors

_profile = click.option("--profile", default="default", show_default=True, help="The profile of IPython.")


@click.group()
def jupyter() -> None:
    """Let notebooks and IPython have the magics from the start."""


@jupyter.command()
@_profile
@typed_errors
def enable(*, profile: str) -> None:
    """Load the magics with every kernel that starts from now on, by a startup file of IPython."""
    from funcx_core.fabric.autoload import startup

    click.echo(
        f"Wrote {startup.enable(profile)}. Kernels that start from now on know %%funcx; `%load_ext` is not needed."
    )


@jupyter.command()
@_profile
@typed_errors
def disable(*, profile: str) -> None:
    """Remove that startup file; `%load_ext funcx_jupyter` loads the magics."""
    from funcx_core.fabric.autoload import startup

    path, was_there = startup.disable(profile)
    click.echo(f"Removed {path}." if was_there else f"There was nothing to remove: no {path}.")
