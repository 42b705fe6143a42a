"""The argument NAME of commands about one endpoint; shells complete it."""

from __future__ import annotations

import click

from funcx_core.errors import FuncxError
from funcx_endpoint.folder import all_endpoints


def _known(_: click.Context, __: click.Parameter, begun: str) -> list[str]:
    try:
        return [folder.name for folder in all_endpoints() if folder.name.startswith(begun)]
    except FuncxError:
        return []  # A shell that completes has no place for messages.


name_argument = click.argument("name", default="default", required=False, shell_complete=_known)
