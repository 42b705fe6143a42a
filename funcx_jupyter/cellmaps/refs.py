"""What a notebook has of values that the elements of a map left on its endpoint."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, overload

from funcx_jupyter.capture.elsewhere import Elsewhere
from funcx_jupyter.display import words
from funcx_jupyter.session import errand
from funcx_jupyter.session.remote_ref import RemoteRef

if TYPE_CHECKING:
    from funcx_jupyter.session.state import Session

AT_ONCE: Final = 64 * 1024 * 1024
"""Bytes of values that are fetched by one task, about; what is larger has one of its own."""
_SHOWN: Final = 5


class MapRef(Elsewhere):
    """Values on an endpoint, one of each element of a map, in the order of the elements. A cell there has their list.

    >>> len(models), models.size        # known without having them
    >>> models[3]                       # the reference to one of them
    >>> models[:10].get(), models.head()  # some of the values
    >>> models = models.get()           # the list of all
    >>> models.delete()

    They are kept as other values are, see `RemoteRef`.

    Attributes:
        name: what each of them is called on the endpoint.
        endpoint: the name of where they are.
    """

    def __init__(
        self, session: Session, name: str, endpoint: str, refs: Sequence[RemoteRef], namespace: dict[str, Any]
    ) -> None:
        self.name = name
        self.endpoint = endpoint
        self._session = session
        self._refs = list(refs)
        self._namespace = namespace

    def __len__(self) -> int:
        return len(self._refs)

    def __iter__(self) -> Iterator[RemoteRef]:
        return iter(self._refs)

    @overload
    def __getitem__(self, index: int) -> RemoteRef: ...

    @overload
    def __getitem__(self, index: slice) -> MapRef: ...

    def __getitem__(self, index: int | slice) -> RemoteRef | MapRef:
        if isinstance(index, slice):
            return MapRef(self._session, self.name, self.endpoint, self._refs[index], self._namespace)
        return self._refs[index]

    @property
    def size(self) -> int:
        """Bytes of all of them."""
        return sum(ref.size for ref in self._refs)

    def get(self) -> list[Any]:
        """Bring the values here. They stay there, too."""
        found: list[Any] = []
        for part in _parts(self._refs):
            if len(part) == 1:
                found.append(part[0].get())
            else:
                uses = [ref.remote_use() for ref in part]
                found += errand.fetch_all(self._session, uses, self._namespace)
        return found

    def head(self, n: int = 5) -> list[Any]:
        """Bring the first of the values here."""
        return self[:n].get()

    def delete(self) -> None:
        """Remove all of them from the endpoint. Cells that use them fail from then on."""
        self._have_done("delete(task_id, name)")

    def pin(self) -> None:
        """Keep them until they are unpinned or deleted."""
        self._have_done("pin(task_id, name, True)")

    def unpin(self) -> None:
        """Keep them for the usual time only."""
        self._have_done("pin(task_id, name, False)")

    def _have_done(self, call: str) -> None:
        uses = [ref.remote_use() for ref in self._refs]
        if not uses:
            return
        function = call.partition("(")[0]
        named = [(use.task_id, use.name) for use in uses]
        source = f"from funcx_endpoint.worker.keeping import {function}\nfor task_id, name in {named!r}:\n    {call}"
        errand.run(self._session, uses[0], source, self._namespace, brings=False)

    def __reduce__(self) -> tuple[Any, ...]:
        return list, (self._refs,)

    def __repr__(self) -> str:
        kinds = list(dict.fromkeys(ref.type_name for ref in self._refs))
        kind = f"of {kinds[0]}" if len(kinds) == 1 else "values"
        return f"MapRef({self.name}: {len(self):,} {kind}, {words.size(self.size)} on {self.endpoint})"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        del include, exclude
        more = [f"… {len(self) - _SHOWN:,} more"] if len(self) > _SHOWN else []
        text = "\n".join([repr(self), *map(repr, self._refs[:_SHOWN]), *more])
        return {"text/plain": text, "text/html": f'<pre class="funcx-ref">{html.escape(text)}</pre>'}


def _parts(refs: Sequence[RemoteRef]) -> Iterator[list[RemoteRef]]:
    """Cut the references into parts whose values come together."""
    part: list[RemoteRef] = []
    size = 0
    for ref in refs:
        if part and size + ref.size > AT_ONCE:
            yield part
            part, size = [], 0
        part.append(ref)
        size += ref.size
    if part:
        yield part
