"""The commands ``hold`` and ``release``."""

from __future__ import annotations

import click

from funcx_endpoint.control.client import ask
from funcx_endpoint.control.messages import Hold, Managers
from funcx_endpoint.folder import endpoint_folder
from funcx_endpoint.lifecycle import require
from funcx_endpoint.name_argument import name_argument
from funcx_endpoint.plain_errors import plain_errors

_manager = click.argument("manager_id")


@click.command(short_help="Give a node of an endpoint no more tasks.")
@name_argument
@_manager
@plain_errors
def hold(name: str, manager_id: str) -> None:
    """Give the node of endpoint NAME with the manager MANAGER_ID no more tasks. What it has goes on.

    `funcx-endpoint status` shows the managers.
    """
    _hold(name, manager_id, hold=True)


@click.command(short_help="Give a node that is on hold tasks again.")
@name_argument
@_manager
@plain_errors
def release(name: str, manager_id: str) -> None:
    """Give the node of endpoint NAME with the manager MANAGER_ID, which is on hold, tasks again."""
    _hold(name, manager_id, hold=False)


def _hold(name: str, manager_id: str, *, hold: bool) -> None:
    folder = endpoint_folder(name)
    require(folder)
    answer = ask(folder.path, Hold(manager_id, hold), Managers)
    for manager in answer.managers:
        state = f"is on hold; it has {manager.leased} tasks" if manager.is_held else "is given tasks again"
        click.echo(f"Manager {manager.manager_id} on {manager.hostname} {state}.")
