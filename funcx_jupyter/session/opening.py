"""What a task gave back, as the notebook is to have it: values that came, and references to those that stayed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from funcx_core.cells.spec import LAST_VALUE, KeptFacts
from funcx_core.ids import EndpointId, TaskId
from funcx_jupyter.display import words
from funcx_jupyter.session.outcome import Finished, open_outcome
from funcx_jupyter.session.remote_ref import KeptAt, RemoteRef

if TYPE_CHECKING:
    from funcx_jupyter.session.state import Session


class Origin(Protocol):
    """A task whose outcome it is."""

    @property
    def task_id(self) -> TaskId:
        """Its id."""

    @property
    def endpoint_id(self) -> EndpointId:
        """Where it ran."""

    @property
    def endpoint(self) -> str:
        """The name of that."""


def opened(session: Session, origin: Origin, value: Any, outputs: list[str], namespace: dict[str, Any]) -> Finished:
    """Return what a task gave back, loaded for `namespace`; what stayed on the endpoint is among the outputs, as references.

    Raises as `open_outcome` does. Nothing is assigned.
    """
    is_trusted = session.connection.trusts(origin.endpoint_id)
    finished = open_outcome(value, outputs, namespace, is_trusted=is_trusted)
    if not finished.kept:
        return finished
    refs = {facts.name: _ref(session, origin, facts, namespace) for facts in finished.kept}
    last = refs.pop(LAST_VALUE, None)
    return msgspec.structs.replace(
        finished, outputs={**finished.outputs, **refs}, value=finished.value if last is None else last
    )


def _ref(session: Session, origin: Origin, facts: KeptFacts, namespace: dict[str, Any]) -> RemoteRef:
    at = kept_at(origin, facts.name)
    known = namespace.get(facts.name)
    if isinstance(known, RemoteRef) and known.is_of(at):
        known.learn(facts)  # The asynchronous cell has bound it: whoever has it knows more now.
        return known
    return RemoteRef(session, at, namespace, facts)


def kept_at(origin: Origin, name: str) -> KeptAt:
    """Return which value it is that a task leaves on its endpoint under that name."""
    return KeptAt(name=name, task_id=origin.task_id, endpoint_id=origin.endpoint_id, endpoint=origin.endpoint)


def bind_refs(session: Session, origin: Origin, names: Iterable[str], namespace: dict[str, Any]) -> None:
    """Bind the names of values that a task will leave on its endpoint, or has left there."""
    namespace.update({name: RemoteRef(session, kept_at(origin, name), namespace) for name in names})


def told_too_large(kept: Iterable[KeptFacts], origin: Origin) -> list[str]:
    """Return what is said of outputs that stayed behind because they are large."""
    return [_too_large(facts, origin) for facts in kept if (facts.over or facts.refused) and facts.name != LAST_VALUE]


def _too_large(facts: KeptFacts, origin: Origin) -> str:
    hours = f"{facts.kept_seconds / 3600:g}"
    why = f"(limit {words.size(facts.over)})." if facts.over else f"and the service does not take it: {facts.refused}"
    return (
        f"{facts.name} is {words.size(facts.size)}{'' if facts.over else ','} {why} Kept on {origin.endpoint} for {hours} h: "
        f"`{facts.name} = %funcx fetch {words.short_id(origin.task_id)}.{facts.name}`"
    )
