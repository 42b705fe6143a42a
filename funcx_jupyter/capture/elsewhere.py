"""What stands in the notebook for a value that is on an endpoint: a cell takes it along by name, and finds the value there.

>>> with collecting() as uses:
...     pickler.add({"best": model})  # `model` is elsewhere: its reference is written
>>> uses
{(task_id, 'model'): RemoteUse(...)}
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import msgspec

from funcx_core.cells.rebuild import from_kept
from funcx_core.ids import EndpointId, TaskId
from funcx_jupyter.errors import NotAValue


class RemoteUse(msgspec.Struct, frozen=True, kw_only=True):
    """A cell uses a value that is on an endpoint.

    Attributes:
        called: what the user calls it.
        task_id: the task that leaves it there.
        name: what it is called there.
        endpoint_id: where it is.
        endpoint: the name of that.
        is_there: it is known to be there already; else its task has to succeed first.
        fetch: what to type to have the value here.
        bring: what to type to have it here under that name.
        what: what stands for it, in words.
    """

    called: str
    task_id: TaskId
    name: str
    endpoint_id: EndpointId
    endpoint: str
    is_there: bool
    fetch: str
    bring: str
    what: str = "a reference to a value"


Uses = dict[tuple[TaskId, str], RemoteUse]
_uses: ContextVar[Uses | None] = ContextVar("remote_uses", default=None)


@contextmanager
def collecting() -> Iterator[Uses]:
    """Within this, what is elsewhere can be pickled for a cell; the dict has what was, by task and name there."""
    found: Uses = {}
    token = _uses.set(found)
    try:
        yield found
    finally:
        _uses.reset(token)


class Elsewhere:
    """Base of what stands for values on an endpoint.

    Attributes:
        endpoint: the name of where they are.
    """

    endpoint: str


class ElsewhereValue(Elsewhere):
    """Base of what stands for one."""

    def remote_use(self) -> RemoteUse:
        """Return what a cell needs to know to find the value."""
        raise NotImplementedError

    def __reduce__(self) -> tuple[Any, ...]:
        use, uses = self.remote_use(), _uses.get()
        if uses is None:
            raise NotAValue(f"{use.called} is {use.what}, not the value itself. `{use.fetch}` is the value.")
        uses[use.task_id, use.name] = use
        return from_kept, (use.task_id, use.name)
