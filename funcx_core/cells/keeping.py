"""Values of cells that stay where the cell ran, for other cells there: written with all that they use, as nobody at home is asked.

What a value takes from a notebook goes by value, also what came from there; it keeps its name at home, so that a later cell can
send it home by that name.
"""

from __future__ import annotations

import pickle
from typing import IO, Any, Final

from funcx_core.cells import rebuild
from funcx_core.cells.bounded import Bounded
from funcx_core.cells.pickling import CellPickler
from funcx_core.cells.rebuild import Arrivals, arriving, load_values
from funcx_core.cells.spec import LAST_VALUE, CellOutcome

MOST_CODE: Final = 1024 * 1024
"""Bytes of code that go with values which may have to stay."""


class KeptPickler(CellPickler):
    """Writes a value for a namespace in which nothing is known yet."""

    _make_class = staticmethod(rebuild.make_class_again)
    _set_class_state = staticmethod(rebuild.set_class_state_again)

    def _known_at_home(self, thing: Any) -> str | None:
        del thing
        return None

    def _name_here(self, thing: Any) -> str | None:
        return self._arrivals.home_name(thing)


def write_kept(value: Any, arrivals: Arrivals, stream: IO[bytes]) -> int:
    """Write `value`, and the globals that its functions use; return the bytes of the value. Raises whatever its classes raise."""
    pickler = KeptPickler(arrivals, stream)
    size = pickler.add(value)
    done: set[str] = set()
    while waiting := [name for name in pickler.needed if name in arrivals.namespace and name not in done]:
        for name in waiting:
            done.add(name)
            pickler.add(name)
            pickler.add(arrivals.namespace[name])
    return size


def read_kept(stream: IO[bytes], arrivals: Arrivals) -> Any:
    """Return what `write_kept` wrote. What it needs is put into the namespace, unless the cell brought something of that name.

    The stream must come from this user's own worker: loading runs code.
    """
    unpickler = pickle.Unpickler(stream)  # noqa: S301 - see above
    with arriving(arrivals):
        value = unpickler.load()
        try:
            while True:
                name = unpickler.load()
                arrivals.namespace.setdefault(name, unpickler.load())
        except EOFError:
            return value


def code_for(arrivals: Arrivals) -> bytes:
    """Return what of the notebook's a later cell needs to load what this one sends home; nothing if that is too much, or cannot be written."""
    things = arrivals.from_home()
    if not things:
        return b""
    pickler = KeptPickler(arrivals, Bounded(MOST_CODE))
    try:
        pickler.add(things)
    except Exception:  # noqa: BLE001 - a closure may hold anything; most values can be loaded without their notebook's code
        return b""
    return pickler.getvalue()


def read_outcome(outcome: CellOutcome, arrivals: Arrivals) -> dict[str, Any]:
    """Return the values in an outcome that stayed on the endpoint, by their names there. What they need is put into the namespace.

    It must come from this user's own worker: loading runs code.
    """
    if outcome.code:
        with arriving(arrivals):
            things = pickle.loads(outcome.code)  # noqa: S301 - see above
        for name, thing in things.items():
            arrivals.namespace.setdefault(name, thing)
    found = dict(load_values(outcome.values, outcome.names, arrivals))
    if outcome.value is not None:
        found.update(load_values(outcome.value, [LAST_VALUE], arrivals))
    return found
