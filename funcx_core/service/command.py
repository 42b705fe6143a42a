"""The console script ``funcx-service``: says what is missing if this installation is the SDK alone, else runs `cli`."""

from __future__ import annotations

import importlib.util
import sys


def main() -> None:
    """Run the command line."""
    if importlib.util.find_spec("sqlalchemy") is None:
        sys.exit("funcx-service: this installation is the SDK alone. Run: pip install 'funcx-workbench[service]'")
    from funcx_core.service.cli import main as run  # noqa: PLC0415 - it imports what may be missing

    run()
