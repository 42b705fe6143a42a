"""What is looked at before a cell is sent, and what its user is told then."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from funcx_jupyter.capture.local_modules import LocalModule
from funcx_jupyter.display import words
from funcx_jupyter.errors import EnvironmentMismatch
from funcx_jupyter.options.cell import CellOptions
from funcx_jupyter.session.endpoints import Endpoint
from funcx_jupyter.session.environment import OFF, STRICT, first_missing, is_missing, other_python
from funcx_jupyter.session.following import Screen
from funcx_jupyter.session.journal import Submission
from funcx_jupyter.session.prepare import PreparedCell
from funcx_jupyter.session.state import Session
from funcx_jupyter.session.upstream import check_place


def check_cell(
    session: Session, endpoint: Endpoint, prepared: PreparedCell, options: CellOptions, screen: Screen
) -> None:
    """Refuse a cell that cannot run at the endpoint, as far as is known here.

    Raises:
        RemoteValueElsewhere: it uses a value that is on another endpoint.
        EnvironmentMismatch: something that it imports or requires is not installed there.
    """
    check_place(prepared.captured.remote, endpoint)
    if options.container is None:  # What is in the container is not known here.
        _check_environment(session, endpoint, prepared, options.env, screen)
        check_requirements(session, endpoint, options.requires)


def _check_environment(
    session: Session, endpoint: Endpoint, prepared: PreparedCell, manner: str, screen: Screen
) -> None:
    """Compare what the cell imports with what the endpoint has, and say what differs.

    Raises:
        EnvironmentMismatch: a module is not there, and `manner` is ``strict``.
    """
    if manner == OFF:
        return
    found = session.environments.of(endpoint.endpoint_id)
    if endpoint.endpoint_id not in session.told and (line := other_python(found, endpoint.name)):
        session.told.add(endpoint.endpoint_id)
        screen.notice(line)
    if first_missing(prepared.imports, found) is None:
        return
    found = session.environments.of(endpoint.endpoint_id, anew=True)  # It may have been installed since.
    missing = first_missing(prepared.imports, found)
    if missing is None:
        return
    message = is_missing(missing, found, endpoint.name)
    if manner == STRICT:
        raise EnvironmentMismatch(message, module=missing.module, endpoint=endpoint.name)
    screen.notice(message)


def check_requirements(session: Session, endpoint: Endpoint, requires: Sequence[str]) -> None:
    """Compare the requirements with what the endpoint has reported. The worker compares again: nodes may differ.

    Raises:
        EnvironmentMismatch: none of the endpoint's kinds of nodes meets them.
    """
    if not requires:
        return
    from funcx_core.cells.requirements import unmet_by  # noqa: PLC0415 - few cells need it

    for anew in (False, True):  # It may have been installed since.
        unmet = [unmet_by(requires, kind) for kind in session.environments.of(endpoint.endpoint_id, anew=anew)]
        if not unmet or None in unmet:
            return
    raise EnvironmentMismatch(
        f"{next(filter(None, unmet)).describe(endpoint.name)} `%funcx env {endpoint.name} --diff` shows what differs."
    )


def tell_of_modules(session: Session, local: Iterable[LocalModule], screen: Screen) -> None:
    """Say once of each module that it goes with the cell, and again when it has changed."""
    for module in local:
        before, now = session.modules.get(module.name), module.digest
        session.modules[module.name] = now
        if before is None:
            screen.notice(f"{module} goes with the cell")
        elif before != now:
            screen.notice(f"{module} has changed and goes with the cell")


def tell_running(running: Submission, screen: Screen) -> None:
    """Say that the very same cell runs already, and that this is it."""
    age, short = words.lasting(time.time() - running.at), words.short_id(running.task_id)
    screen.notice(f"This cell is already running as {short} ({age}). Attached to it. Use --no-cache to submit again.")
