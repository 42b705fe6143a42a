"""The agent's socket in its endpoint's folder. The kernel takes paths of 107 characters, and folders may lie deeper."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

NAME: Final = "control.sock"


@contextmanager
def short_path(folder: Path) -> Iterator[str]:
    """Give a short name of the socket in `folder`, good as long as the context is open.

    Raises:
        OSError: there is no such folder.
    """
    handle = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{handle}/{NAME}"
    finally:
        os.close(handle)
