"""Values of functions that could not be sent: they stay here for some time, and a function of the same user gets at them."""

from __future__ import annotations

from typing import Any

from funcx_core.cells.spec import LAST_VALUE
from funcx_core.errors import ValueNotKept
from funcx_core.serialize import unpack_value
from funcx_endpoint.if_refused import how_to_get
from funcx_endpoint.kept import KeptKey, Manner
from funcx_endpoint.worker.place import place


def keep_packed(value: bytes) -> str:
    """Keep the packed value of the running task, and return how to get at it, in a sentence; nothing if it cannot be kept."""
    here = place()
    if here is None:
        return ""
    try:
        with here.folder.writing(here.key(LAST_VALUE), Manner.SPARE) as file:
            file.write(value)
    except (ValueNotKept, OSError):
        return ""
    return how_to_get(here.task_id, here.folder.lifetime)


def kept_result(task_id: str) -> Any:
    """See `funcx_endpoint.kept_result`."""
    here = place()
    if here is None:
        raise ValueNotKept(
            "kept_result() finds values on endpoints that keep some, in functions that run there.",
            details={"why": "off", "task": task_id, "name": LAST_VALUE},
        )
    with here.folder.open_value(KeptKey(here.owner, task_id, LAST_VALUE)) as file:
        return unpack_value(file.read())
