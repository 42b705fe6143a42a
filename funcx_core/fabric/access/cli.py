"""The commands. What they ask for, the service decides: they are clients as any other."""

from __future__ import annotations

import click

from funcx_core.errors import NotFound
from funcx_core.fabric.typed_errors import typed_errors
from funcx_core.home import home

DAY = 86_400.0


@click.group(invoke_without_command=True)
@click.option("--client", "as_client", is_flag=True, help="Make an id and a secret, for a program, and print them.")
@click.option("--label", default="funcx token --client", show_default=True, help="What the client is for.")
@click.option("--user", help="On the service's machine: make a token for this user, and the user if there is none.")
@click.option("--days", type=click.FloatRange(min=0, min_open=True), help="With --user: days until it expires.")
@click.pass_context
@typed_errors
def token(context: click.Context, *, as_client: bool, label: str, user: str | None, days: float | None) -> None:
    """Print the saved bearer token, for curl and other clients; or make, list and revoke others."""
    if context.invoked_subcommand is not None:
        if as_client or user is not None:
            raise click.UsageError("--client and --user stand alone, such as: funcx token --client")
        return
    if as_client:
        from funcx_core.fabric.access import tokens

        made = tokens.create_client(label)
        click.echo(f"FUNCX_SDK_CLIENT_ID={made.client_id}\nFUNCX_SDK_CLIENT_SECRET={made.client_secret}")
        click.echo("The secret is shown this once. `funcx token revoke` with the id ends it.", err=True)
        return
    from funcx_core.fabric import compose

    if days is not None and user is None:
        raise click.UsageError("--days stands with --user, or after `funcx token create`.")
    click.echo(compose.token(home()) if user is None else compose.token_for(home(), user, days=days))


@token.command()
@click.option("--label", default="funcx token create", show_default=True, help="What the token is for.")
@click.option("--days", type=click.FloatRange(min=0, min_open=True), help="Days until it expires. [default: never]")
@click.option(
    "--scope",
    "scopes",
    type=click.Choice(["read", "submit", "endpoints", "tokens"]),
    multiple=True,
    help="What it may be used for; may be repeated. [default: everything]",
)
@typed_errors
def create(*, label: str, days: float | None, scopes: tuple[str, ...]) -> None:
    """Make a token and print it; it is shown this once."""
    from funcx_core.fabric.access import tokens

    click.echo(tokens.create_token(label, None if days is None else days * DAY, list(scopes) or None))


@token.command("list")
@typed_errors
def show() -> None:
    """List tokens, and clients with their ids."""
    from funcx_core.fabric.access import tokens

    for line in tokens.table():
        click.echo(line)


@token.command()
@click.argument("token_id", metavar="ID")
@typed_errors
def revoke(token_id: str) -> None:
    """Make a token worthless at once, or a client and all its tokens. ID as `funcx token list` shows it."""
    from funcx_core.fabric.access import tokens

    try:
        tokens.revoke_token(token_id)
        click.echo(f"Revoked the token {token_id}.")
    except NotFound:
        tokens.delete_client(token_id)
        click.echo(f"Deleted the client {token_id} and revoked its tokens.")


@token.command()
@click.argument("code")
@click.option("--deny", is_flag=True, help="Send it away.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@typed_errors
def approve(*, code: str, deny: bool, yes: bool) -> None:
    """Sign in, as you, who shows CODE: what `funcx login --code` or `%funcx login` said elsewhere."""
    from funcx_core.fabric.access import tokens

    found = tokens.waiting_for(code)
    if not deny:
        click.echo(
            f"{found.label}, at {found.address}, asks to be signed in as you, with the rights: {' '.join(found.scopes)}."
        )
        if not yes:
            click.confirm("Did you begin this yourself, and let it in?", abort=True)
    tokens.decide(code, approve=not deny)
    click.echo("Denied: nobody was signed in." if deny else "Approved: it is signed in within seconds.")


@click.command()
@click.argument("address", required=False)
@click.option("--code", "by_code", is_flag=True, help="Show a code, to be typed on the service's page in any browser.")
@click.option("--environment", help="A name for this set of tokens. [default: $FUNCX_SDK_ENVIRONMENT, else production]")
@click.option("--client-id", help="Id of a native app at Globus Auth. [default: the one of funcX]")
@click.option("--scope", help="The scope that the service was registered with. [default: the one of funcX]")
@typed_errors
def login(
    *, address: str | None, by_code: bool, environment: str | None, client_id: str | None, scope: str | None
) -> None:
    """Sign in to the service at ADDRESS, or the one that is configured: with Globus if it knows Globus, else by a code.

    A service that was started by `funcx up` for oneself needs no login.
    """
    from funcx_core.sdk.login_manager import signing_in
    from funcx_core.sdk.login_manager.choice import GlobusLogin

    globus = GlobusLogin(environment=environment, client_id=client_id, scope=scope)
    found = signing_in.login(address, globus, by_code=by_code, say=click.echo)
    click.echo(f"Signed in. {found} is used with this login from now on; `funcx logout` ends it.")


@click.command()
@click.argument("address", required=False)
@typed_errors
def logout(address: str | None) -> None:
    """Forget the saved token for a service; a login by Globus is revoked, too."""
    from funcx_core.sdk.login_manager import signing_in

    found = signing_in.logout(address)
    click.echo(f"What was saved for {found} is forgotten.")
