"""The private folder of a user (``~/.funcx``, or ``$FUNCX_HOME``) and how files in it are written."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

from funcx_core.errors import ConfigError


def home() -> Path:
    """Return the folder, made with mode 0700 if it is not there.

    Raises:
        ConfigError: if it cannot be made or written to, belongs to somebody else, or others may write to it.
    """
    return private_dir(home_path())


def home_path() -> Path:
    """Return where the folder is, or would be.

    Raises:
        ConfigError: nothing tells where the user's files are.
    """
    try:
        return Path(os.environ.get("FUNCX_HOME") or Path.home() / ".funcx")
    except RuntimeError:
        raise ConfigError(
            "Nothing tells where your files are: set HOME, or FUNCX_HOME to a folder of your own."
        ) from None


def private_dir(path: Path) -> Path:
    """Return `path` as an existing folder that only its owner may write to.

    Raises:
        ConfigError: if it cannot be made or written to, belongs to somebody else, or others may write to it.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        reason = "It is a file" if path.is_file() else error.strerror
        raise ConfigError(f"There can be no folder {path}: {reason}. Set FUNCX_HOME to a folder of your own.") from None
    found = path.stat()
    if found.st_uid != os.geteuid():
        raise ConfigError(f"{path} belongs to another user. Set FUNCX_HOME to a folder of your own.")
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise ConfigError(f"Others may write to {path}. Run: chmod go-w '{path}'")
    if not os.access(path, os.W_OK | os.X_OK):
        raise ConfigError(
            f"You may not write to {path}. Run: chmod u+rwx '{path}', or set FUNCX_HOME to another folder."
        )
    return path


def write_private(path: Path, content: bytes) -> None:
    """Replace `path` as one step by a file of mode 0600 that is on disk when this returns."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mkstemp makes it 0600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def read_private(path: Path) -> bytes:
    """Return the content of a file that holds a secret.

    Raises:
        ConfigError: if others may read it.
    """
    if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigError(f"Others may read {path}, which holds a secret. Run: chmod 600 '{path}'")
    return path.read_bytes()
