"""The verbs of `%funcx` about what has become of tasks: when they ran, and where their results come from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from funcx_jupyter.display.tables import Text
from funcx_jupyter.errors import MagicArgumentError
from funcx_jupyter.provenance import known_here
from funcx_jupyter.verbs.desk import Desk


def provenance(desk: Desk, name: str, *, json: str = "", ro_crate: str = "") -> Any:
    """Show how a result came to be; --json writes it to a file, --ro-crate to a folder that archives understand."""
    from funcx_core.sdk.provenance.gather import gather  # noqa: PLC0415 - the magics load faster without it

    task_id = desk.session.find_task(name)
    record = gather(desk.session.connection.client, task_id, known=known_here(task_id, desk.session))
    try:
        written = [record.save(Path(json).expanduser())] if json else []
        written += [record.to_ro_crate(Path(ro_crate).expanduser())] if ro_crate else []
    except OSError as error:
        raise MagicArgumentError(f"Cannot write {error.filename or json or ro_crate}: {error.strerror}.") from None
    return Text("\n".join(f"Wrote {path}." for path in written)) if written else record


def timeline(desk: Desk, *names: str, group: str = "") -> Any:
    """Show when tasks waited and ran: those of this notebook, the named ones, or those of a group."""
    from funcx_jupyter.widgets.timeline import Timeline  # noqa: PLC0415 - the magics load faster without it

    tasks = [desk.session.find_task(name) for name in names] if names else None
    return Timeline(tasks, group=group or None, session=desk.session)
