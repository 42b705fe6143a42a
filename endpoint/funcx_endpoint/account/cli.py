"""The commands about who one is."""

from __future__ import annotations

import click
import msgspec

from funcx_endpoint.plain_errors import plain_errors

_address = click.argument("address", required=False)


@click.command(short_help="Sign in to a service.")
@_address
@click.option("--code", "by_code", is_flag=True, help="Show a code, to be typed on the service's page in any browser.")
@click.option("--environment", help="A name for this set of tokens. [default: $FUNCX_SDK_ENVIRONMENT, else production]")
@click.option("--client-id", help="Id of a native app at Globus Auth. [default: the one of funcX]")
@click.option("--scope", help="The scope that the service was registered with. [default: the one of funcX]")
@plain_errors
def login(
    *, address: str | None, by_code: bool, environment: str | None, client_id: str | None, scope: str | None
) -> None:
    """Sign in to the service at ADDRESS, or the one that is configured: with Globus if it knows Globus, else by a code.

    A service that was started by `funcx up` on this machine needs no login.
    """
    from funcx_core.sdk.login_manager import signing_in
    from funcx_core.sdk.login_manager.choice import GlobusLogin

    globus = GlobusLogin(environment=environment, client_id=client_id, scope=scope)
    found = signing_in.login(address, globus, by_code=by_code, say=click.echo)
    click.echo(f"Signed in. Endpoints of this user register with {found} as you; `funcx-endpoint logout` ends it.")


@click.command(short_help="Forget the saved token for a service.")
@_address
@plain_errors
def logout(*, address: str | None) -> None:
    """Forget the saved token for a service; a login by Globus is revoked, too.

    Endpoints that run stay connected. They cannot register again.
    """
    from funcx_core.sdk.login_manager import signing_in

    found = signing_in.logout(address)
    click.echo(f"What was saved for {found} is forgotten.")


@click.command(short_help="Ask the service who you are to it.")
@_address
@click.option("--json", "as_json", is_flag=True, help="Print JSON for scripts.")
@plain_errors
def whoami(*, address: str | None, as_json: bool) -> None:
    """Ask the service as whom endpoints of this user are registered."""
    from funcx_endpoint.account import remote

    found = remote.whoami(address)
    if as_json:
        click.echo(msgspec.json.encode(found).decode())
    else:
        click.echo(f"{found.name} ({found.user_id}) at {found.service_address}")
