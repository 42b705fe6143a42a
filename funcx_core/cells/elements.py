"""A cell that runs once for each element of something: how the cell, an element and what became of it travel.

The cell with all that it captured is the *function* of a map, so it reaches an endpoint, and each of its workers, once. An element is
the argument of one call.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import Any, Final, NamedTuple

import msgspec

from funcx_core.cells.pickling import CellPickler
from funcx_core.cells.rebuild import Arrivals, from_home, load_values
from funcx_core.cells.spec import KeptFacts
from funcx_core.protocol.codec import Decoder
from funcx_core.protocol.task import EventKind

_PLAIN: Final = frozenset({int, float, complex, str, bytes, bool, type(None)})
_ELEMENT: Final = "the element"


class CellOfMap:
    """The function of a map: the cell, with its variable bound to the element. It goes by name, so any Python version loads it.

    Args:
        spec: the encoded `CellSpec`.
        variable: the name that is bound.
        seconds: after which one element is stopped; None for no limit.
    """

    __name__ = "funcx_cell"

    def __init__(self, spec: bytes, variable: str, seconds: float | None = None) -> None:
        self.spec = spec
        self.variable = variable
        self.seconds = seconds
        self._runner: Any = None

    def __call__(self, element: Any) -> bytes:
        """Run the cell for one element; returns an encoded `ElementOutcome`. Whatever the cell raises passes through."""
        if self._runner is None:
            module = import_module("funcx_endpoint.worker.cell_map")
            self._runner = module.ElementRunner(self.spec, self.variable, self.seconds)
        outcome: bytes = self._runner.run(element)
        return outcome

    def __reduce__(self) -> tuple[Any, ...]:
        return CellOfMap, (self.spec, self.variable, self.seconds)


class PackedElement(NamedTuple):
    """An element that may refer to code of the notebook, as `ElementPickler` wrote it."""

    data: bytes


class ElementPickler(CellPickler):
    """Writes one element. Classes and functions that the notebook knows by name go by that name, and have to go with the cell.

    So an element is an instance of the very class that the cell sees.
    """

    def __init__(self, arrivals: Arrivals) -> None:
        super().__init__(arrivals)
        self.used: set[str] = set()

    def _function(self, function: Any) -> Any:
        return self._by_name(function) or super()._function(function)

    def _class(self, cls: type) -> Any:
        return self._by_name(cls) or super()._class(cls)

    def _by_name(self, thing: Any) -> Any:
        name = self._name_here(thing)
        if name is None:
            return None
        self.used.add(name.partition(".")[0])
        return from_home, (name,)


def pack_element(element: Any, arrivals: Arrivals) -> tuple[Any, set[str]]:
    """Return the element as it travels, and the names of the notebook that it refers to. Raises whatever its classes raise."""
    if type(element) in _PLAIN:
        return element, set()
    pickler = ElementPickler(arrivals)
    pickler.add(element)
    return PackedElement(pickler.getvalue()), pickler.used


def load_element(packed: Any, arrivals: Arrivals) -> Any:
    """Return the element, in the namespace of `arrivals`.

    Raises:
        DeserializationError: it cannot be loaded.
    """
    if not isinstance(packed, PackedElement):
        return packed
    ((_, element),) = load_values(packed.data, [_ELEMENT], arrivals)
    return element


def name_there(variable: str, place: int) -> str:
    """Return what the variable of one element is called where it stays. `place`: of the element among those of its task."""
    return f"{variable}__{place}"


def variable_of(name: str) -> str:
    """Return the variable of what `name_there` has named."""
    return name.rpartition("__")[0]


class Piece(msgspec.Struct, frozen=True, array_like=True):
    """Something that an element printed or showed. `body` is that of an event of this kind."""

    kind: EventKind
    body: bytes


PIECES: Final = "pieces"
"""Where the details of the error of an element have what it had printed and shown, as `write_pieces` wrote it."""
HIDDEN: Final = "pieces_hidden"
"""Where they have the bytes of that for which there was no room."""


def write_pieces(pieces: Iterable[Piece]) -> list[list[str]]:
    """Return the pieces as texts: details of errors travel as JSON, too."""
    return [[piece.kind.value, piece.body.decode(errors="replace")] for piece in pieces]


def read_pieces(details: Mapping[str, Any]) -> tuple[list[Piece], int]:
    """Return what an element had printed and shown that failed with these details, and the bytes of it that stayed behind."""
    try:
        told = msgspec.convert(
            (details.get(PIECES, []), details.get(HIDDEN, 0)), tuple[list[tuple[EventKind, str]], int]
        )
    except msgspec.ValidationError:
        return [], 0
    written, hidden = told
    return [Piece(kind, body.encode(errors="replace")) for kind, body in written], hidden


class ElementOutcome(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How the cell ended for one element.

    Attributes:
        sizes: bytes of each output's pickle, in the order of `CellSpec.outputs`.
        values: the pickles of the outputs, one after the other.
        value: the pickle of the last expression's value; None if there is none, or it stayed behind.
        text: the value in characters, if it stayed behind.
        left_behind: why it did.
        kept: what stays where it ran, each under its `name_there`.
        pieces: what it printed and showed, as far as there is room for it.
        hidden: bytes of that for which there was none.
        hostname: where it ran.
    """

    sizes: list[int] = []
    values: bytes = b""
    value: bytes | None = None
    text: str = ""
    left_behind: str = ""
    kept: list[KeptFacts] = []
    pieces: list[Piece] = []
    hidden: int = 0
    hostname: str = ""


element_decoder: Final[Decoder[ElementOutcome]] = Decoder(ElementOutcome)
