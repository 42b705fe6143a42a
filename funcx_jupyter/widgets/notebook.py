"""The notebook in which a widget is made."""

from __future__ import annotations

import sys

from funcx_jupyter.session.state import Session


def notebook_session() -> Session | None:
    """Return what the loaded extension remembers of this notebook; None where it is not loaded, and in scripts."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    found: Session | None = getattr(getattr(shell, "_funcx_magics", None), "session", None)
    return found
