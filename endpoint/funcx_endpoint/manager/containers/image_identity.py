"""Which image a container runs in: the name by which it was asked for may stand for another image tomorrow."""

from __future__ import annotations

import subprocess
import uuid
from pathlib import Path
from typing import Final

from funcx_endpoint.manager.containers import runtimes

SECONDS: Final = 5.0
"""For the runtime to answer; workers wait for it, and do without."""
_SIF_MAGIC: Final = (b"SIF_MAGIC\0", 32)
_SIF_ID: Final = slice(48, 64)


def identity_of(kind: str, location: str) -> str:
    """Return what names this image and no other; empty where the runtime has nothing of the kind. Waits for the runtime.

    To be asked when a container of the image has started: so the image is on this node.
    """
    line = runtimes.inspect_command(kind, location)
    if line is None:
        return _of_file(Path(location)) if runtimes.has_image_files(kind) else ""
    try:
        done = subprocess.run(
            line, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return runtimes.identity_in(done.stdout)


def _of_file(path: Path) -> str:
    """Return the id that a SIF file was given when it was built: its bytes are too many to be hashed for each worker."""
    magic, start = _SIF_MAGIC
    try:
        with path.open("rb") as file:
            header = file.read(_SIF_ID.stop)
    except OSError:
        return ""
    if header[start : start + len(magic)] != magic or len(header) < _SIF_ID.stop:
        return ""
    return f"sif:{uuid.UUID(bytes=header[_SIF_ID])}"
