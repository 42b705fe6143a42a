"""What a notebook has of a value that stayed on its endpoint."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

import msgspec

from funcx_core.cells.spec import LAST_VALUE, KeptFacts
from funcx_core.ids import EndpointId, TaskId
from funcx_core.protocol.task import TaskState
from funcx_jupyter.capture.elsewhere import ElsewhereValue, RemoteUse
from funcx_jupyter.display import words
from funcx_jupyter.session import errand

if TYPE_CHECKING:
    from funcx_jupyter.session.state import Session


class KeptAt(msgspec.Struct, frozen=True, kw_only=True):
    """Which value: what the task of that id left on that endpoint under that name. `called`: what it is called here, if that differs."""

    name: str
    called: str = ""
    task_id: TaskId
    endpoint_id: EndpointId
    endpoint: str


class RemoteRef(ElsewhereValue):
    """A value on an endpoint. Cells there use it by its name here, and it does not travel for that.

    >>> model.shape, len(model)     # known without having it
    >>> model.head()                # a part of it
    >>> model = model.get()         # the value itself, of any size
    >>> model.delete()

    What is asked of it waits for its task, if that runs still. It is kept for a day after it was used last, unless it is pinned or the
    endpoint's owner decided otherwise.

    Attributes:
        name: what it is called on the endpoint; ``_`` is the value of a cell's last expression.
        task_id: the task that left it there.
        endpoint: the name of where it is.
    """

    def __init__(self, session: Session, at: KeptAt, namespace: dict[str, Any], facts: KeptFacts | None = None) -> None:
        self.name = at.called or at.name
        self.task_id = at.task_id
        self.endpoint = at.endpoint
        self._at = at
        self._session = session
        self._namespace = namespace
        self._facts = facts

    def is_of(self, at: KeptAt) -> bool:
        """Whether this is that value."""
        return (self.task_id, self._at.name) == (at.task_id, at.name)

    def learn(self, facts: KeptFacts) -> None:
        """Its task has ended, and this is known now."""
        self._facts = facts

    @property
    def facts(self) -> KeptFacts:
        """What is known of the value. Waits for its task, and raises what that raised."""
        if self._facts is None:
            self._facts = errand.facts_of(self._session, self._at, self._namespace)
        return self._facts

    # --- what it is -----------------------------------------------------------------------------------------------

    @property
    def size(self) -> int:
        """Its size in bytes."""
        return self.facts.size

    @property
    def type_name(self) -> str:
        """Its class, as people write it."""
        return self.facts.type_name

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape. Raises `AttributeError` if its class has none."""
        return tuple(self._has("shape", self.facts.shape))

    @property
    def dtype(self) -> str:
        """Its dtype in words. Raises `AttributeError` if its class has none."""
        return str(self._has("dtype", self.facts.dtype or None))

    @property
    def columns(self) -> list[str]:
        """Its columns, the first hundred. Raises `AttributeError` if its class has none."""
        return list(self._has("columns", self.facts.columns or None))

    def __len__(self) -> int:
        if self.facts.length is None:
            raise TypeError(f"`{self.name}` ({self.type_name}) on {self.endpoint} has no length.")
        return self.facts.length

    def __bool__(self) -> bool:
        return True  # Without this, `len` would be asked, and perhaps wait for the task.

    def _has(self, what: str, found: Any) -> Any:
        if found is None:
            raise AttributeError(f"`{self.name}` ({self.type_name}) on {self.endpoint} has no {what}.")
        return found

    # --- what can be done with it -----------------------------------------------------------------------------------

    def get(self) -> Any:
        """Bring the value here, whatever its size. It stays there, too."""
        return errand.fetch(self._session, self._use(), self._namespace)

    def head(self, n: int = 5) -> Any:
        """Bring its first rows, or items, here."""
        there = errand.VARIABLE
        source = f"{there}.head({n:d}) if hasattr({there}, 'head') else {there}[:{n:d}]"
        return errand.run(self._session, self._use(), source, self._namespace).value

    def delete(self) -> None:
        """Remove it from the endpoint. Cells that use it fail from then on."""
        self._have_done(f"delete({self.task_id!r}, {self._at.name!r})")

    def pin(self) -> None:
        """Keep it until it is unpinned or deleted."""
        self._have_done(f"pin({self.task_id!r}, {self._at.name!r}, True)")

    def unpin(self) -> None:
        """Keep it for the usual time only."""
        self._have_done(f"pin({self.task_id!r}, {self._at.name!r}, False)")

    def _have_done(self, call: str) -> None:
        function = call.partition("(")[0]
        source = f"__import__('funcx_endpoint.worker.keeping', fromlist=[{function!r}]).{call}"
        errand.run(self._session, self._use(), source, self._namespace, brings=False)

    # --- how it travels, and what it looks like ---------------------------------------------------------------------

    def remote_use(self) -> RemoteUse:
        """Return what a cell needs to know to find the value."""
        return self._use()

    def _use(self) -> RemoteUse:
        short = words.short_id(self.task_id)
        shown = f"{short}.{LAST_VALUE}" if self.name == LAST_VALUE else self.name
        record = self._session.tasks.get(self.task_id)
        is_there = self._facts is not None or (record is not None and record.state is TaskState.SUCCESS)
        return RemoteUse(
            called=shown,
            task_id=self.task_id,
            name=self._at.name,
            endpoint_id=self._at.endpoint_id,
            endpoint=self.endpoint,
            is_there=is_there,
            fetch=f"%funcx fetch {shown}" if self.name == LAST_VALUE else f"{self.name}.get()",
            bring=f"value = %funcx fetch {shown}"
            if self.name == LAST_VALUE
            else f"{self._new_name} = {self.name}.get()",
            what=f"a reference to a value on {self.endpoint}",
        )

    @property
    def _new_name(self) -> str:
        """What the value itself is to be called: one of an element of a map is not assigned to its place."""
        return self.name if self.name.isidentifier() else "value"

    def _told(self) -> str:
        if self._facts is None:
            record = self._session.tasks.get(self.task_id)
            state = "" if record is None else f"{words.STATES[record.state]} "
            return f"{self.name}: {state}on {self.endpoint}, task {words.short_id(self.task_id)}"
        facts = self._facts
        shape = "" if facts.shape is None else f" {tuple(facts.shape)}"
        length = f", {facts.length:,} items" if facts.shape is None and facts.length is not None else ""
        kind = f"{facts.type_name}{shape}{length}"
        return f"{self.name}: {kind}, {words.size(facts.size)} on {self.endpoint}, task {words.short_id(self.task_id)}"

    def __repr__(self) -> str:
        return f"RemoteRef({self._told()})"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        del include, exclude
        shown = self._facts.shown.data if self._facts is not None and self._facts.shown is not None else {}
        text = str(shown.get("text/plain", ""))
        inner = str(shown.get("text/html", "")) or (f"<pre>{html.escape(text)}</pre>" if text else "")
        return {
            "text/plain": f"{self!r}\n{text}".rstrip(),
            "text/html": f'<div class="funcx-ref">{html.escape(repr(self))}</div>{inner}',
        }
