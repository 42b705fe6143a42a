"""A cell that is to run for each element, before it is sent: the cell, its elements as they travel, and what is kept about them."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from funcx_core.cells.elements import PackedElement, pack_element
from funcx_core.cells.pickling import CellPickler
from funcx_core.cells.rebuild import Arrivals, load_values
from funcx_core.cells.spec import FigureStyle
from funcx_core.errors import DeserializationError, RemoteProtocolError
from funcx_core.protocol.codec import Decoder, encode
from funcx_core.protocol.maps import MAX_ABOUT
from funcx_core.sdk.range_sizes import LARGEST
from funcx_jupyter.capture.culprit import type_name
from funcx_jupyter.capture.elsewhere import RemoteUse, collecting
from funcx_jupyter.capture.values import Notebook
from funcx_jupyter.cellmaps.clause import MapClause, elements_of, list_elements
from funcx_jupyter.errors import CaptureError, LargeInputError
from funcx_jupyter.options.cell import CellOptions
from funcx_jupyter.session.prepare import CellText, PreparedCell, parse, prepare

_PLAIN: Final = 5
"""Bytes of a number."""
_MOST_OF_LARGE: Final = 16
"""Elements of a range, if they are large."""


class MapPlan(msgspec.Struct, frozen=True):
    """What is to be sent.

    Attributes:
        cell: the cell, with what it captured.
        variable: what is bound to the element.
        elements: as they are here.
        packed: as they travel.
        largest: bytes of the largest, about.
        size: bytes of all of them, about.
        digest: of all of them.
        remote: values on endpoints that are among them.
    """

    cell: PreparedCell
    variable: str
    elements: Sequence[Any]
    packed: Sequence[Any]
    largest: int
    size: int
    digest: str
    remote: Sequence[RemoteUse] = ()

    def calls(self) -> Iterator[tuple[Any, ...]]:
        """Yield the arguments of each call."""
        return ((element,) for element in self.packed)

    def chunksize(self, asked: int | None, limit: int) -> int | str:
        """Return how many elements travel as one: what was asked for, else what is measured.

        Args:
            asked: by the user.
            limit: bytes that elements of one range may have.

        Raises:
            LargeInputError: one element alone is too large.
        """
        if self.largest > limit:
            raise LargeInputError(
                f"An element of `{self.variable}` has {self.largest:,} bytes; this service takes at most {limit:,} at a time. "
                "Map over names or numbers, and load what belongs to each inside the cell."
            )
        fitting = limit // max(1, self.largest)
        if asked is not None:
            return min(asked, fitting)
        return "auto" if fitting >= LARGEST else min(_MOST_OF_LARGE, fitting)


def plan_map(
    text: CellText,
    options: CellOptions,
    clause: MapClause,
    notebook: Notebook,
    figures: FigureStyle,
    *,
    given: Any = None,
) -> MapPlan:
    """Return what is to be sent for a cell and its elements: `given`, or what the clause says, which is evaluated now, once.

    Raises:
        SyntaxError: with the visible line.
        CaptureError: a variable is missing, or it or an element cannot be sent.
    """
    parse(text)
    variable = clause.variable
    elements = elements_of(clause, notebook.namespace) if given is None else list_elements(given, clause)
    with collecting() as remote:
        packed, used = _pack(variable, elements, notebook)
    chosen = msgspec.structs.replace(options, exclude=(*options.exclude, variable))
    cell = prepare(text, chosen, notebook, figures, also=tuple(sorted(used - {variable})))
    sizes = [_PLAIN] * len(packed) if isinstance(packed, range) else [_size(each) for each in packed]
    digest = hashlib.sha256(variable.encode())
    for each in [packed] if isinstance(packed, range) else packed:
        digest.update(each.data if isinstance(each, PackedElement) else repr(each).encode())
        digest.update(b"\0")
    return MapPlan(
        cell, variable, elements, packed, max(sizes, default=0), sum(sizes), digest.hexdigest(), list(remote.values())
    )


def _size(packed: Any) -> int:
    if isinstance(packed, PackedElement):
        return len(packed.data)
    return len(packed) + _PLAIN if isinstance(packed, str | bytes) else _PLAIN


def _pack(variable: str, elements: Sequence[Any], notebook: Notebook) -> tuple[Sequence[Any], set[str]]:
    if isinstance(elements, range):
        return elements, set()
    packed, used = [], set()
    arrivals = Arrivals(notebook.namespace)
    for number, element in enumerate(elements):
        try:
            one, names = pack_element(element, arrivals)
        except Exception as error:
            # Pickling runs code of the user's classes, which may raise anything.
            raise CaptureError(
                f"Element {number} of `{variable}` ({type_name(element)}) cannot be sent: {error}. Map over something plain, and "
                "create it inside the cell."
            ) from error
        packed.append(one)
        used |= names
    return packed, used


class About(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the service keeps about such a map, unread, so that another kernel can go on with it.

    Attributes:
        variable: that is bound to the element.
        outputs: variables that come back.
        refs: variables that stay where they are.
        elements: compressed pickle of their list; empty if there was no room for it.
        seconds: the time limit of one element.
    """

    variable: str
    outputs: list[str] = []
    refs: list[str] = []
    elements: bytes = b""
    seconds: float | None = None


_decoder: Final[Decoder[About]] = Decoder(About)


def write_about(plan: MapPlan, namespace: dict[str, Any], seconds: float | None) -> bytes:
    """Return what is kept about a map."""
    spec = plan.cell.spec
    about = About(variable=plan.variable, outputs=spec.outputs, refs=spec.keep, seconds=seconds)
    if plan.remote:  # Another kernel could not have them as they are: their numbers have to do.
        return encode(about)
    pickler = CellPickler(Arrivals(namespace))
    pickler.add(plan.elements)
    whole = encode(msgspec.structs.replace(about, elements=zlib.compress(pickler.getvalue())))
    return whole if len(whole) <= MAX_ABOUT else encode(about)


def read_about(encoded: bytes) -> About:
    """Return what `write_about` took.

    Raises:
        RemoteProtocolError: the map was not made by a cell.
    """
    try:
        return _decoder.decode(encoded)
    except RemoteProtocolError:
        raise RemoteProtocolError(
            "The map was not made by a cell: `FuncXClient().get_map(id)` has its results."
        ) from None


def elements_kept(about: About, size: int, namespace: dict[str, Any]) -> Sequence[Any]:
    """Return the elements; their numbers if they are not kept, or cannot be loaded in this notebook."""
    if not about.elements:
        return range(size)
    try:
        ((_, found),) = load_values(zlib.decompress(about.elements), [about.variable], Arrivals(namespace))
    except (DeserializationError, zlib.error):
        return range(size)
    return found if len(found) == size else range(size)
