"""Values of cells that stay where the cell ran, for other cells there: written with all that they use, as nobody at home is asked.

What a value takes from a notebook goes by value, also what came from there; it keeps its name at home, so that a later cell can
send it home by that name.
"""

from __future__ import annotations

import pickle
from typing import IO, Any

from funcx_core.cells import rebuild
from funcx_core.cells.pickling import CellPickler
from funcx_core.cells.rebuild import Arrivals, arriving


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
