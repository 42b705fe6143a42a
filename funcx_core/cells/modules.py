"""Modules that come with a cell: importable where it runs for as long as its task takes, in place of any others of their names.

They are read from memory; no file is written. What they replace is put back by `remove`, which whoever ends a task calls.
"""

from __future__ import annotations

import importlib.machinery
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from types import CodeType, ModuleType
from typing import Final

from funcx_core.cells.sources import remember_text
from funcx_core.cells.spec import source_decoder


class SentModules(MetaPathFinder, Loader):
    """Finds and loads the modules of one cell, and knows what it hides."""

    def __init__(self, encoded: bytes | bytearray) -> None:
        self._encoded = encoded
        self._sources = {source.name: source for source in source_decoder.decode(bytes(encoded))}
        self._tops = {name.partition(".")[0] for name in self._sources}
        self._hidden: dict[str, ModuleType] = {}

    def is_of(self, encoded: bytes | bytearray) -> bool:
        """Whether these are its modules."""
        return self._encoded is encoded or self._encoded == encoded

    def begin(self) -> None:
        """Be asked before everybody else; modules of these names that are loaded are hidden."""
        self._hidden = self._take_out()
        sys.meta_path.insert(0, self)

    def end(self) -> None:
        """Put everything back."""
        if self in sys.meta_path:
            sys.meta_path.remove(self)
        self._take_out()
        sys.modules.update(self._hidden)

    def _take_out(self) -> dict[str, ModuleType]:
        names = [name for name in sys.modules if name.partition(".")[0] in self._tops]
        return {name: sys.modules.pop(name) for name in names}

    # --- what the import system asks ----------------------------------------------------------------------------------

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Return the spec of a module that came with the cell."""
        del path, target
        source = self._sources.get(fullname)
        if source is None:
            return None
        spec = importlib.machinery.ModuleSpec(fullname, self, origin=source.filename, is_package=source.is_package)
        spec.has_location = bool(source.filename)
        return spec

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        """Leave it to the import system."""
        del spec
        return None

    def exec_module(self, module: ModuleType) -> None:
        """Run the module's text. Tracebacks have its lines, and name the file that it has at home."""
        source = self._sources[module.__name__]
        if source.filename:
            remember_text(source.filename, source.text)
        exec(self.get_code(module.__name__), module.__dict__)  # noqa: S102 - the user's own module, under the user's own account

    def get_code(self, fullname: str) -> CodeType:
        """Return the compiled module, as `runpy` asks for it."""
        source = self._sources[fullname]
        code: CodeType = compile(source.text, source.filename or f"<{fullname}>", "exec", dont_inherit=True)
        return code

    def get_source(self, fullname: str) -> str:
        """Return the text of a module, as `inspect` asks for it."""
        return self._sources[fullname].text

    def is_package(self, fullname: str) -> bool:
        """Whether a module has others below it."""
        return self._sources[fullname].is_package


_present: Final[list[SentModules]] = []


def install(encoded: bytes | bytearray) -> None:
    """Make these modules importable, and no others that came with a cell. Those that are there already stay as they are."""
    if _present and _present[0].is_of(encoded):
        return
    remove()
    if encoded:
        modules = SentModules(encoded)
        modules.begin()
        _present.append(modules)


def remove() -> None:
    """Forget the modules that came with a cell."""
    while _present:
        _present.pop().end()
