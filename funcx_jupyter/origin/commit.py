"""The git commit of a folder, cheaply enough to be asked with every cell."""

from __future__ import annotations

import subprocess
import threading
import time
from pathlib import Path
from typing import Final

_PATIENCE: Final = 0.05
"""Seconds to wait for git to compare the files; what it says later is for the next cell."""
_FRESH: Final = 30.0
_LIMIT: Final = 20.0
_known: dict[Path, tuple[float, bool]] = {}
_asking: set[Path] = set()


def commit_of(folder: Path) -> str:
    """Return the commit that is checked out in a folder, ``… and changes`` if files differ from it; nothing if there is none.

    Whether they differ is asked beside the caller: where that takes long it is what it was a moment ago, or is not said.
    """
    commit = head_of(folder)
    if not commit:
        return ""
    changes = _differs(folder)
    return commit if changes is False else f"{commit} and changes" if changes else f"{commit} (perhaps with changes)"


def head_of(folder: Path) -> str:
    """Return the commit that is checked out, from git's files: no process is started."""
    git = _git_folder(folder)
    if git is None:
        return ""
    head = _read(git / "HEAD")
    if not head.startswith("ref: "):
        return head
    reference = head.removeprefix("ref: ")
    common = git / (_read(git / "commondir") or ".")
    return _read(git / reference) or _read(common / reference) or _packed(common, reference)


def _git_folder(folder: Path) -> Path | None:
    for parent in (folder, *folder.parents):
        git = parent / ".git"
        if git.is_dir():
            return git
        if git.is_file():  # of a worktree or a submodule
            return parent / _read(git).removeprefix("gitdir: ")
    return None


def _packed(common: Path, reference: str) -> str:
    lines = (line.split(" ", 1) for line in _read(common / "packed-refs").splitlines())
    return next((parts[0] for parts in lines if len(parts) > 1 and parts[1] == reference), "")


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""


def _differs(folder: Path) -> bool | None:
    asked = time.monotonic()
    if folder not in _asking:
        _asking.add(folder)
        asker = threading.Thread(target=_ask, args=(folder,), name="funcx-commit", daemon=True)
        asker.start()
        asker.join(_PATIENCE)
    at, differs = _known.get(folder, (0.0, False))
    return differs if at and asked - at < _FRESH else None


def _ask(folder: Path) -> None:
    try:
        command = ["git", "-C", str(folder), "status", "--porcelain", "--", "."]
        done = subprocess.run(command, capture_output=True, timeout=_LIMIT, check=False, stdin=subprocess.DEVNULL)
        if done.returncode == 0:
            _known[folder] = (time.monotonic(), bool(done.stdout.strip()))
    except (OSError, subprocess.TimeoutExpired):
        return  # No git here, or the folder is on a file system that does not answer.
    finally:
        _asking.discard(folder)
