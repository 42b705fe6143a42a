"""Modules of the working directory and of editable installs: an endpoint does not have them, so they go with the cell.

A module is *local* if its file is Python and lies outside of the folders into which packages are installed. A package goes as a
whole, with all Python files below it; so do the local modules that these files import in turn. Files are read anew for every
cell, so that what runs is what is saved.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import site
import sys
import sysconfig
import tokenize
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from funcx_core.cells.spec import ModuleSource
from funcx_jupyter.capture.imports import Import, imports_of, modules_of
from funcx_jupyter.display import words
from funcx_jupyter.errors import CaptureError

MOST_BYTES: Final = 10 * 1000 * 1000
"""Of the text of all modules of one cell."""
MOST_FILES: Final = 2000
_OURS: Final = frozenset({"funcx", "funcx_core", "funcx_jupyter", "funcx_endpoint", "funcx_sdk", "__main__"})
_INSTALLED: Final = frozenset({"site-packages", "dist-packages"})
_COMPILED: Final = (".so", ".pyd", ".dylib")


@dataclass(frozen=True)
class LocalModule:
    """A module or package that goes with the cell.

    Attributes:
        name: its top-level name.
        place: where it is, as the user knows it.
        sources: of it and of everything below it.
        needs: the modules that importing it imports.
    """

    name: str
    place: str
    sources: tuple[ModuleSource, ...]
    needs: tuple[Import, ...]

    @property
    def digest(self) -> str:
        """A hash of what is in it."""
        digest = hashlib.sha256()
        for source in self.sources:
            digest.update(f"{source.name}\0{source.text}\0".encode("utf-8", "surrogatepass"))
        return digest.hexdigest()

    def __str__(self) -> str:
        return f"`{self.name}` ({self.place})"


def find_local_modules(names: Iterable[str], exclude: Iterable[str]) -> list[LocalModule]:
    """Return the local ones among modules, by their names, with the local ones that they import in turn.

    Args:
        names: of modules, dotted or not.
        exclude: top-level names that are left out.

    Raises:
        CaptureError: they are too large, or one cannot be read.
    """
    waiting = [name.partition(".")[0] for name in names]
    seen = {*exclude, *_OURS, *sys.stdlib_module_names}
    found: list[LocalModule] = []
    room = _Room()
    while waiting:
        name = waiting.pop(0)
        if name in seen:
            continue
        seen.add(name)
        module = _read_module(name, room)
        if module is not None:
            found.append(module)
            waiting += [top for source in module.sources for top in _tops_in(source.text)]
    return found


def _read_module(name: str, room: _Room) -> LocalModule | None:
    files = _files_of(name)
    if not files:
        return None
    try:
        read = [(file, room.read(file)) for file in files]
    except _NoRoom:
        path = next(file.path for file in files if file.path is not None)
        if not path.is_relative_to(Path.cwd()):
            return None  # Of a library in a place of its own: the endpoint has it, or is said not to.
        raise CaptureError(
            f"`{name}` ({_shown(path)}) would go with the cell, but its modules have more than {words.size(MOST_BYTES)} or "
            f"{MOST_FILES:,} files. Install it on the endpoint, and leave it out with -x {name}."
        ) from None
    except OSError as error:
        raise CaptureError(
            f"`{name}` goes with the cell, but {_shown(Path(error.filename))} cannot be read: {error.strerror}. Leave it out with -x {name}."
        ) from None
    return _module(name, [(file, source) for file, source in read if source is not None])


@dataclass(frozen=True)
class _File:
    """A file of a module; None for a package without a file of its own."""

    module: str
    path: Path | None
    is_package: bool


class _NoRoom(Exception):
    """The modules of a cell have too many bytes or files."""


class _Room:
    """How much may still be read."""

    def __init__(self) -> None:
        self._files = 0
        self._bytes = 0

    def read(self, file: _File) -> ModuleSource | None:
        """Return the source of a file; None if it is not Python that can be read.

        Raises:
            OSError: it cannot be read.
            _NoRoom: there are too many.
        """
        if file.path is None:
            return ModuleSource(file.module, "", "", file.is_package)
        try:
            with tokenize.open(file.path) as opened:
                text = opened.read()
        except (SyntaxError, UnicodeDecodeError):
            return None
        self._files += 1
        self._bytes += len(text)
        if self._files > MOST_FILES or self._bytes > MOST_BYTES:
            raise _NoRoom
        return ModuleSource(file.module, str(file.path), text, file.is_package)


def _files_of(name: str) -> list[_File]:
    """Return the files of a module with this top-level name; none if it is not local."""
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError, AttributeError):
        spec = None
    if spec is None:
        return []
    if spec.submodule_search_locations is None:
        path = Path(spec.origin or "")
        is_local = path.suffix == ".py" and path.is_file() and not is_installed(path)
        return [_File(name, path.resolve(), is_package=False)] if is_local else []
    return _files_of_package(name, [Path(folder).resolve() for folder in spec.submodule_search_locations])


def _files_of_package(name: str, folders: list[Path]) -> list[_File]:
    if any(is_installed(folder) or not folder.is_dir() for folder in folders):
        return []
    files = [file for folder in folders for file in _below(name, folder)]
    # What is compiled cannot go along; a folder without Python files is one of data.
    return (
        [] if None in files or all(file and file.path is None for file in files) else [file for file in files if file]
    )


def _below(name: str, folder: Path) -> Iterator[_File | None]:
    """Yield the modules of a package; None if there is one that is compiled."""
    own = folder / "__init__.py"
    yield _File(name, own if own.is_file() else None, is_package=True)
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            if path.name.isidentifier() and not path.name.startswith("__") and any(path.glob("**/*.py")):
                yield from _below(f"{name}.{path.name}", path)
        elif path.name.endswith(_COMPILED):
            yield None
        elif path.suffix == ".py" and path.stem.isidentifier() and path != own:
            yield _File(f"{name}.{path.stem}", path, is_package=False)


def is_installed(path: Path) -> bool:
    """Whether a file is where packages are installed, or part of Python."""
    if _INSTALLED & set(path.parts):
        return True
    whole = path.absolute()
    return any(whole.is_relative_to(folder) or path.is_relative_to(folder) for folder in _folders())


@cache
def _folders() -> tuple[Path, ...]:
    paths = sysconfig.get_paths()
    found = [paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    found += [*site.getsitepackages(), site.getusersitepackages()]
    return tuple({folder for path in found for folder in (Path(path), Path(path).resolve())})


def _module(name: str, files: list[tuple[_File, ModuleSource]]) -> LocalModule:
    first = files[0][0]
    path = first.path or next(file.path for file, _ in files if file.path is not None)
    is_package = first.is_package
    place = _shown(path.parent if is_package else path) + ("/" if is_package else "")
    tree = _parsed(files[0][1].text)
    needs = () if tree is None else tuple(imports_of(tree))
    reasoned = tuple(Import(need.module, 0, f"`{name}` imports it") for need in needs)
    return LocalModule(name, place, tuple(source for _, source in files), reasoned)


def _shown(path: Path) -> str:
    here = Path.cwd()
    return f"./{path.relative_to(here)}" if path.is_relative_to(here) else str(path)


@cache
def _tops_in(text: str) -> tuple[str, ...]:
    tree = _parsed(text)
    return () if tree is None else tuple(dict.fromkeys(modules_of(tree)))


def _parsed(text: str) -> ast.Module | None:
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError):
        return None
