"""The values of a cell's inputs, packed to travel, with everything that they in turn use of the notebook."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any, NoReturn

from funcx_core.cells.pickling import NOTEBOOK_MODULES, CellPickler
from funcx_core.cells.rebuild import Arrivals
from funcx_core.cells.spec import ModuleAlias
from funcx_jupyter.capture.culprit import find_culprit, type_name
from funcx_jupyter.capture.elsewhere import Elsewhere, RemoteUse, collecting
from funcx_jupyter.capture.names import CellNames, NameUse
from funcx_jupyter.capture.streams import Packed, Packer
from funcx_jupyter.errors import CaptureError, NotAValue

_NEVER = frozenset({"get_ipython", "exit", "quit", "In", "Out", "__builtins__", "__builtin__", "__name__", "__file__"})
_LAST_RESULTS = frozenset({"_", "__", "___"})
"""The shell's names for the last results: an empty text until there are any."""


class Kind(StrEnum):
    """What a captured variable is, for the header line."""

    VALUE = "value"
    FUNCTION = "function"
    CLASS = "class"
    IMPORTED = "imported"
    REMOTE = "remote"


@dataclass(frozen=True)
class CapturedValue:
    """One variable that goes with the cell.

    Attributes:
        name: of the variable.
        size: bytes.
        kind: what it is.
        place: the endpoint on which its value is already.
        parts: which parts of `Packed.parts` have bytes of it.
    """

    name: str
    size: int
    kind: Kind
    place: str = ""
    parts: frozenset[str] = frozenset()


@dataclass
class Captured:
    """What goes with a cell: see `CellSpec`."""

    modules: list[ModuleAlias] = field(default_factory=list)
    values: list[CapturedValue] = field(default_factory=list)
    packed: Packed = field(default_factory=Packed)
    remote: list[RemoteUse] = field(default_factory=list)

    @property
    def names(self) -> list[str]:
        """The names of the values."""
        return [value.name for value in self.values]


class Notebook:
    """The namespace of a notebook, and which of its names are the user's."""

    def __init__(self, namespace: dict[str, Any], hidden: Mapping[str, Any] | None = None) -> None:
        self.namespace = namespace
        self._hidden = hidden or {}

    def has(self, name: str) -> bool:
        """Whether the user has defined `name`."""
        if name not in self.namespace or name in _NEVER:
            return False
        if name in _LAST_RESULTS:
            return not (isinstance(self.namespace[name], str) and self.namespace[name] == "")
        # The shell's own things are in the same namespace, until the user assigns these names.
        return not (name in self._hidden and self._hidden[name] is self.namespace[name])

    def own_names(self) -> set[str]:
        """Return the names that the user has defined."""
        return {name for name in self.namespace if name not in _LAST_RESULTS and self.has(name)}

    def nearest(self, name: str) -> str | None:
        """Return the user's name that is most like `name`."""
        own = [known for known in self.namespace if not known.startswith("_") and self.has(known)]
        return next(iter(difflib.get_close_matches(name, own, n=1, cutoff=0.6)), None)


def choose_inputs(
    cell: CellNames,
    notebook: Notebook,
    *,
    listed: tuple[str, ...] | None,
    exclude: Iterable[str],
    may_be_undefined: bool = False,
) -> list[NameUse]:
    """Return the names to send.

    Args:
        cell: the names of the cell.
        notebook: where it is.
        listed: the names that the user listed; None to find them.
        exclude: names that the user does not want to send.
        may_be_undefined: a name that is not defined may be there where the cell runs.

    Raises:
        CaptureError: if the cell cannot run without a name that is not defined.
    """
    unwanted = set(exclude)
    if listed is not None:
        return [_listed(name, cell, notebook) for name in listed if name not in unwanted]
    chosen = [use for use in cell.inputs if use.name not in unwanted]
    for use in chosen if not may_be_undefined else ():
        if use.required and not notebook.has(use.name) and use.name not in _NEVER:
            _undefined(use.name, f" (line {use.line})", notebook)
    return [use for use in chosen if notebook.has(use.name)]


def _listed(name: str, cell: CellNames, notebook: Notebook) -> NameUse:
    if not notebook.has(name):
        _undefined(name, " (named with -i)", notebook)
    return NameUse(name, cell.line_of(name) or 0, required=True)


def _undefined(name: str, where: str, notebook: Notebook) -> NoReturn:
    near = notebook.nearest(name)
    hint = f" Did you mean `{near}`?" if near else ""
    raise CaptureError(f"`{name}`{where} is not defined here and not assigned in the cell.{hint}")


def pack(uses_of_cell: Iterable[NameUse], notebook: Notebook, *, exclude: Iterable[str]) -> Captured:
    """Return the values of `uses_of_cell`, and of all that the functions among them use in turn.

    Raises:
        CaptureError: naming the variable that cannot be sent, where it is used, and which part of it is to blame.
    """
    with collecting() as uses:
        captured = _pack(uses_of_cell, notebook, frozenset(exclude))
    captured.remote = list(uses.values())
    return captured


def _pack(uses: Iterable[NameUse], notebook: Notebook, unwanted: frozenset[str]) -> Captured:
    captured = Captured()
    packer = Packer(Arrivals(notebook.namespace))
    waiting = {use.name: f"It is used on line {use.line}." if use.line else "" for use in uses}
    seen: list[str] = []
    # Last, so that what they hold of the notebook's classes finds those of this cell.
    elsewhere = {name: waiting.pop(name) for name in list(waiting) if isinstance(notebook.namespace[name], Elsewhere)}
    while waiting or elsewhere:
        if not waiting:
            waiting, elsewhere = elsewhere, {}
        for name, place in waiting.items():
            value = notebook.namespace[name]
            if isinstance(value, ModuleType):
                captured.modules.append(ModuleAlias(name, value.__name__))
            else:
                _pack_one(name, place, notebook, packer)
            seen.append(name)
        waiting = {
            name: f"{user}() uses it."
            for name, user in packer.needed.items()
            if name not in seen and name not in unwanted and notebook.has(name)
        }
    packed = captured.packed = packer.finish()
    captured.values = [_described(name, notebook.namespace[name], packed) for name in seen if name in packed.sizes]
    return captured


def _pack_one(name: str, place: str, notebook: Notebook, packer: Packer) -> None:
    value = notebook.namespace[name]
    try:
        packer.add(name, value)
    except NotAValue as error:
        # Said of the innermost part, which may be inside of what the user named.
        place = f" {place}" if place else ""
        raise CaptureError(f"`{name}` cannot be sent: {error}{place}") from error
    except Exception as error:
        # Pickling runs code of the user's classes, which may raise anything.
        raise CaptureError(_cannot_be_sent(name, value, place, notebook)) from error


def _described(name: str, value: Any, packed: Packed) -> CapturedValue:
    place = value.endpoint if isinstance(value, Elsewhere) else ""
    return CapturedValue(name, packed.sizes[name], _kind(value), place, frozenset(packed.uses[name]))


def _kind(value: Any) -> Kind:
    if isinstance(value, Elsewhere):
        return Kind.REMOTE
    if not isinstance(value, FunctionType | BuiltinFunctionType | type):
        return Kind.VALUE
    if value.__module__ not in NOTEBOOK_MODULES:
        return Kind.IMPORTED
    return Kind.CLASS if isinstance(value, type) else Kind.FUNCTION


def _cannot_be_sent(name: str, value: Any, place: str, notebook: Notebook) -> str:
    def is_sendable(part: Any) -> bool:
        try:
            CellPickler(Arrivals(notebook.namespace)).add(part)
        except Exception:  # noqa: BLE001 - see `_pack_one`
            return False
        return True

    path, part = find_culprit(value, is_sendable)
    because = f" because of `{name}{path}` ({type_name(part)})" if path else ""
    place = f" {place}" if place else ""
    return (
        f"`{name}` ({type_name(value)}) cannot be sent{because}.{place} "
        f"Create it inside the cell, or exclude it with -x {name}."
    )
