"""How captured variables are divided into what travels with the cell and what is sent once.

Theory of operation. All variables go through one pickler, so that two that share a list share it where they arrive. What is
large is kept out of that stream, in two ways:

- Arrays, and whatever else has its data in buffers (data frames, models), are written without them; the buffers go beside the
  stream. That never changes who shares what. One new column of a data frame is one new buffer.
- A variable whose pickle is large without such buffers (a list of a million numbers, a text) gets a stream of its own, if no part of
  it that could be told from a copy is shared with another variable, and if no code of the notebook is in it: its classes must be
  made once for all variables.

Pieces of `LEAST` bytes and more are named by their SHA-256 and go to the service as blobs. What is in a blob there, or with the
endpoint, is not sent again.
"""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import hashlib
import pickle
import sys
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from types import BuiltinFunctionType, FunctionType, ModuleType, NoneType
from typing import Any, Final

from funcx_core.cells.pickling import CellPickler
from funcx_core.cells.rebuild import Arrivals
from funcx_core.cells.spec import Piece, Place, Stream
from funcx_jupyter.capture.elsewhere import Elsewhere

LEAST: Final = 64 * 1024
"""Bytes from which on something is worth being sent by itself: a request for it costs what as many bytes do."""
MOST_APART: Final = 32
"""Variables with a stream of their own."""
SHARES: Final = 64
"""Among how many the pieces are divided: of each variable's or stream's share there are at most three, so all are under `MOST_BLOBS`."""
_WHOLE: Final = 1024 * 1024
"""Bytes up to which the buffers of one variable are put together."""
_PLAIN: Final = (bool, int, float, complex, NoneType)
_CONSTANT: Final = (
    *_PLAIN,
    str,
    bytes,
    tuple,
    frozenset,
    type,
    FunctionType,
    BuiltinFunctionType,
    ModuleType,
    enum.Enum,
    dt.date,
    dt.time,
    dt.timedelta,
    dt.tzinfo,
    decimal.Decimal,
    uuid.UUID,
    PurePath,
)
"""What is as good as its copy. What is inside of a tuple is looked at by itself."""


@dataclass(frozen=True)
class Part:
    """Bytes that are sent once: one block, or several after each other, which nobody may change meanwhile."""

    blocks: Sequence[bytes | memoryview]
    size: int

    def content(self) -> bytes | memoryview:
        """Return all of it; a copy only if there are several blocks."""
        return self.blocks[0] if len(self.blocks) == 1 else b"".join(self.blocks)


@dataclass
class Packed:
    """Variables, ready to travel.

    Attributes:
        names: variables in `pickles`.
        pickles: small ones, which travel inside of the cell.
        streams: the others.
        parts: what the streams name, by SHA-256.
        sizes: bytes of each variable.
        uses: the parts that have bytes of a variable.
        modules: modules that the variables need.
        files: names of the cells whose code is in the variables.
    """

    names: list[str] = field(default_factory=list)
    pickles: bytes = b""
    streams: list[Stream] = field(default_factory=list)
    parts: dict[str, Part] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    uses: dict[str, set[str]] = field(default_factory=dict)
    modules: set[str] = field(default_factory=set)
    files: set[str] = field(default_factory=set)

    def keep(self, content: bytes) -> Piece:
        """Return the piece that stands for other bytes that go with the cell; long ones are a part."""
        return Piece(content=content) if len(content) < LEAST else _keep(self, [content])


class Packer:
    """Takes variables one by one. `needed`: see `CellPickler`."""

    def __init__(self, arrivals: Arrivals) -> None:
        self._arrivals = arrivals
        self._together = _Writer(arrivals)
        self._apart: list[_Writer] = []

    @property
    def needed(self) -> dict[str, str]:
        """Global names that functions among the variables use, with the name of the first function that does."""
        return self._together.pickler.needed

    def add(self, name: str, value: Any) -> None:
        """Write a variable. Raises whatever the classes in it raise."""
        if not isinstance(value, (*_PLAIN, FunctionType, type, Elsewhere)):
            alone = _Writer(self._arrivals)
            alone.write(name, value)
            if alone.is_long and alone.stands_alone and len(self._apart) < MOST_APART:
                self._apart.append(alone)
                return
        self._together.write(name, value)

    def finish(self) -> Packed:
        """Return all variables. Raises as `add` does."""
        self._join_what_shares()
        packed = Packed()
        streams = [writer for writer in (*self._apart, self._together) if not writer.is_plain]
        variables = sum(1 for writer in streams for taken in writer.taken if taken)
        by_variable = variables <= SHARES
        most = SHARES // max(1, variables if by_variable else len(streams))
        for writer in streams:
            writer.put_into(packed, most, by_variable=by_variable)
        if self._together.is_plain:
            self._together.put_inside(packed)
        return packed

    def _join_what_shares(self) -> None:
        """Write variables that share something into the one stream, until none shares anything with what is not in its own."""
        if not self._apart:
            return
        while True:
            seen = self._together.mutable()
            shared = []
            for writer in self._apart:
                own = writer.mutable()
                if not seen.isdisjoint(own):
                    shared.append(writer)
                seen |= own
            # Of two that share a part, the second was found; with it in the common stream, the next round finds the first.
            for writer in shared:
                self._apart.remove(writer)
                self._together.write(writer.names[0], writer.values[0])
            if not shared:
                return


class _Writer:
    """One stream, while it is written."""

    def __init__(self, arrivals: Arrivals) -> None:
        self.pickler = CellPickler(arrivals, take=self._take)
        self.names: list[str] = []
        self.values: list[Any] = []  # Held, as long as their ids are compared.
        self.sizes: list[int] = []
        self.taken: list[list[memoryview]] = []
        self._mutable: set[int] | None = None

    def write(self, name: str, value: Any) -> None:
        """Add a variable."""
        self.taken.append([])
        self.sizes.append(self.pickler.add(value))
        self.names.append(name)
        self.values.append(value)
        self._mutable = None

    @property
    def is_long(self) -> bool:
        """Whether the pickles are worth being sent by themselves."""
        return sum(self.sizes) >= LEAST

    @property
    def stands_alone(self) -> bool:
        """Whether it needs nothing of the notebook: no code of it, and no value on an endpoint, which may need that."""
        if self.pickler.has_code:
            return False
        return not any(isinstance(thing, Elsewhere) for _, thing in self.pickler.memo.copy().values())

    @property
    def is_plain(self) -> bool:
        """Whether all of it can travel inside of the cell."""
        return not self.is_long and not any(map(len, self.taken))

    def mutable(self) -> set[int]:
        """Return the ids of everything in the variables that can be told from a copy."""
        if self._mutable is None:
            constant: tuple[type, ...] = (*_CONSTANT, *_constant_types())
            self._mutable = {
                key for key, (_, thing) in self.pickler.memo.copy().items() if not isinstance(thing, constant)
            }
        return self._mutable

    def put_inside(self, packed: Packed) -> None:
        """Let the variables travel in the cell."""
        packed.names, packed.pickles = self.names, self.pickler.getvalue()
        packed.sizes.update(zip(self.names, self.sizes, strict=True))
        packed.uses.update((name, set()) for name in self.names)
        packed.modules |= self.pickler.modules
        packed.files |= self.pickler.files

    def put_into(self, packed: Packed, most: int, *, by_variable: bool) -> None:
        """Make it a stream.

        Args:
            packed: what it is added to.
            most: pieces, about, of each variable or of all.
            by_variable: no piece has buffers of two variables, so that one that is the same as before is not sent with another.
        """
        pickles = Piece(content=self.pickler.getvalue())
        pieces: list[Piece] = []
        places: list[Place] = []
        of_all: set[str] = set()
        if self.is_long:
            pickles = _keep(packed, [pickles.content])
            of_all.add(pickles.sha256)
        uses: list[set[str]] = []
        for run in self.taken if by_variable else [[buffer for taken in self.taken for buffer in taken]]:
            uses.append(set(of_all))
            for group in _grouped(run, most):
                start = 0
                for buffer in group:
                    places.append(Place(len(pieces), start, len(buffer)))
                    start += len(buffer)
                pieces.append(_keep(packed, group))
                uses[-1].add(pieces[-1].sha256)
        for number, name in enumerate(self.names):
            packed.sizes[name] = self.sizes[number] + sum(map(len, self.taken[number]))
            packed.uses[name] = uses[number if by_variable else 0]
        packed.streams.append(Stream(self.names, pickles, pieces, places))
        packed.modules |= self.pickler.modules
        packed.files |= self.pickler.files

    def _take(self, buffer: pickle.PickleBuffer) -> bool:
        """Keep a large buffer out of the stream. Whether it is to be written into it, that is what pickle asks."""
        try:
            raw = buffer.raw()
        except BufferError:  # Not one block of memory.
            return True
        if raw.nbytes < LEAST:
            return True
        self.taken[-1].append(raw)
        return False


def _constant_types() -> Iterable[type]:
    numpy = sys.modules.get("numpy")
    return () if numpy is None else (numpy.dtype, numpy.generic)


def _grouped(buffers: list[memoryview], most: int) -> list[list[memoryview]]:
    """Return successive buffers together, so that there are about `most` groups and none is smaller than need be."""
    least = max(_WHOLE, -(-sum(map(len, buffers)) // most))
    groups: list[list[memoryview]] = []
    filled = least
    for buffer in buffers:
        if filled + len(buffer) > least:
            groups.append([])
            filled = 0
        groups[-1].append(buffer)
        filled += len(buffer)
    return groups


def _keep(packed: Packed, blocks: Sequence[bytes | memoryview]) -> Piece:
    digest = hashlib.sha256()
    for block in blocks:
        digest.update(block)
    name = digest.hexdigest()
    packed.parts[name] = Part(blocks, sum(map(len, blocks)))
    return Piece(sha256=name)
