"""Loading and unloading in an IPython shell, and the line that greets the user."""

from __future__ import annotations

from typing import Any

from funcx_core import __version__
from funcx_core.errors import FuncxError
from funcx_jupyter.completion import Completer
from funcx_jupyter.display.post_mortem import PostMortem
from funcx_jupyter.errors import NoEndpointError
from funcx_jupyter.magics import FuncxMagics
from funcx_jupyter.session.endpoints import Endpoint
from funcx_jupyter.session.service_connection import NOT_SUBMITTED
from funcx_jupyter.session.state import Session

_ATTRIBUTE = "_funcx_magics"


def load(shell: Any) -> None:
    """Register the magics, and greet, once."""
    problems = load_quietly(shell)
    magics: FuncxMagics = getattr(shell, _ATTRIBUTE)
    if not magics.has_greeted:
        magics.has_greeted = True
        for line in [greeting(magics.session), *problems]:
            print(line)  # noqa: T201 - this is what the user sees


def load_quietly(shell: Any) -> list[str]:
    """Register the magics, once, without asking the service anything: for the start of every kernel.

    Returns what is wrong with the saved magics.
    """
    if hasattr(shell, _ATTRIBUTE):
        return []
    magics = FuncxMagics(shell)
    shell.register_magics(magics)
    shell.configurables.append(magics)
    shell.events.register("post_run_cell", magics.values.forget)
    magics.completer = Completer(magics.session, magics.own.lines)
    magics.completer.install(shell)
    magics.post_mortem = PostMortem(shell)
    magics.post_mortem.install()
    setattr(shell, _ATTRIBUTE, magics)
    return _saved_magics(magics)


def unload(shell: Any) -> None:
    """Take everything back."""
    magics: FuncxMagics | None = getattr(shell, _ATTRIBUTE, None)
    if magics is None:
        return
    for kind in ("line", "cell"):
        shell.magics_manager.magics[kind].pop("funcx", None)
    shell.magics_manager.registry.pop(FuncxMagics.__name__, None)
    shell.configurables.remove(magics)
    shell.events.unregister("post_run_cell", magics.values.forget)
    magics.completer.uninstall(shell)
    magics.own.remove_all()
    magics.auto.off()
    magics.post_mortem.uninstall()
    magics.values.forget()
    magics.session.close()
    delattr(shell, _ATTRIBUTE)


def _saved_magics(magics: FuncxMagics) -> list[str]:
    try:
        return magics.own.add_saved(magics.session.configuration.magics())
    except FuncxError as error:
        return [str(error)]


def greeting(session: Session) -> str:
    """Return one line: where the service is and what is online, or why it cannot be used and what to do."""
    name = f"funcX {'.'.join(__version__.split('.')[:2])}"
    try:
        connection = session.connection
        endpoints = connection.endpoints()
    except FuncxError as error:
        return f"{name} · {str(error).removesuffix(NOT_SUBMITTED).rstrip()}"
    address = connection.address.removesuffix("/v2")
    return f"{name} · service {address} · {_online(endpoints)} · default: {_default(session, endpoints)}"


def _online(endpoints: list[Endpoint]) -> str:
    names = sorted(endpoint.name for endpoint in endpoints if endpoint.is_online)
    count = f"{len(names)} endpoint{'' if len(names) == 1 else 's'} online"
    return f"{count} ({', '.join(names)})" if names else count


def _default(session: Session, endpoints: list[Endpoint]) -> str:
    try:
        found = session.default_of(endpoints)
    except NoEndpointError:
        return "none, choose one with `%funcx use`"
    except FuncxError as error:
        return f"none. {error}"
    return found.name if found.is_online else f"{found.name}, which is offline"
