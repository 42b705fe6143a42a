"""The machine, the account and the git folder of whoever asks."""

from __future__ import annotations

import getpass
import platform
import subprocess
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from funcx_core import __version__
from funcx_core.sdk.provenance.record import Author

_SECONDS = 5.0


def author_here(folder: Path, *, service: str, user: str = "") -> Author:
    """Return who asks from this folder. Without git, and outside of a repository, nothing is said of commits."""
    commit = _git(folder, "rev-parse", "HEAD")
    return Author(
        user=user or _account(),
        hostname=platform.node(),
        software={"funcx-workbench": __version__, "python": platform.python_version()},
        service=service,
        folder=str(folder),
        commit=commit or "",
        is_modified=None if commit is None else bool(_git(folder, "status", "--porcelain", "--", ".")),
        remote=_plain(_git(folder, "remote", "get-url", "origin") or ""),
    )


def _account() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a number without a name, as in containers
        return ""


def _git(folder: Path, *words: str) -> str | None:
    command = ["git", "-C", str(folder), *words]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _plain(url: str) -> str:
    """Return an address without user and password."""
    parts = urlsplit(url)
    if "@" not in parts.netloc:
        return url
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
