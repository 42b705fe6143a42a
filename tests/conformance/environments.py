"""Virtual environments of published clients, each of its own, kept between runs in ``.venv-conformance``."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path
from typing import Final

from tests.conformance.clients import Client

ROOT: Final = Path(__file__).parents[2]
FOLDER: Final = ROOT / ".venv-conformance"
INSTALL_SECONDS: Final = 120


class NotInstalled(Exception):
    """A client cannot be installed; the text is the installer's."""


def interpreter(client: Client) -> Path:
    """Return the Python of this client's environment, which is made if it is not there or has other versions.

    Raises:
        NotInstalled: it cannot be had.
    """
    folder = FOLDER / client.name
    python = folder / "bin" / "python"
    wanted = "\n".join((sys.version, *client.requirements, *client.unpinned))
    stamp = folder / "installed.txt"
    if not stamp.exists() or stamp.read_text() != wanted:
        venv.create(folder, clear=True, symlinks=True)
        _install(python, *client.requirements)
        if client.unpinned:
            _install(python, "--no-deps", *client.unpinned)
        stamp.write_text(wanted)
    return python


def _install(python: Path, *arguments: str) -> None:
    # Only uv takes fair-research-login, whose metadata newer versions of pip refuse.
    uv = ROOT / ".venv" / "bin" / "uv"
    command = [str(uv), "pip", "install", "--quiet", "--python", str(python), *arguments]
    environment = {**os.environ, "UV_HTTP_TIMEOUT": "15"}
    try:
        subprocess.run(command, env=environment, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=True)
    except FileNotFoundError:
        raise NotInstalled("uv is not there; `make setup` installs it where it can be had.") from None
    except subprocess.CalledProcessError as error:
        raise NotInstalled(f"{' '.join(arguments)} cannot be installed:\n{error.stderr}") from None
    except subprocess.TimeoutExpired:
        raise NotInstalled(f"{' '.join(arguments)} was not installed within {INSTALL_SECONDS} s.") from None
