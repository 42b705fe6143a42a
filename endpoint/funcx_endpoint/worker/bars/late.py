"""Changes to modules of others, made when a task imports them: a worker imports none of them by itself."""

from __future__ import annotations

import importlib.util
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType


class Late(MetaPathFinder):
    """Calls a function with each of these modules, once, after it was imported.

    Args:
        changes: by the name of the module. An `AttributeError` means that this version of it is another than we know: it stays as it is.
    """

    def __init__(self, changes: Mapping[str, Callable[[ModuleType], None]]) -> None:
        self._changes = changes
        self._looking = threading.local()

    def install(self) -> None:
        """Change what is imported already, and the rest when it is."""
        for name in self._changes:
            if name in sys.modules:
                self._change(sys.modules[name])
        sys.meta_path.insert(0, self)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return where the module is, with a loader that changes it; None for all others."""
        del path, target
        if fullname not in self._changes or getattr(self._looking, "for_it", False):
            return None
        self._looking.for_it = True
        try:
            spec = importlib.util.find_spec(fullname)
        finally:
            self._looking.for_it = False
        if spec is not None and spec.loader is not None:
            self._hook(spec.loader)
        return spec

    def _hook(self, loader: object) -> None:
        execute: Callable[[ModuleType], None] = loader.exec_module  # type: ignore[attr-defined]

        def exec_module(module: ModuleType) -> None:
            execute(module)
            self._change(module)

        loader.exec_module = exec_module  # type: ignore[attr-defined] # of this one loader

    def _change(self, module: ModuleType) -> None:
        change = self._changes.get(module.__name__)  # A loader of a zip file loads other modules, too.
        if change is not None:
            with suppress(AttributeError):
                change(module)
