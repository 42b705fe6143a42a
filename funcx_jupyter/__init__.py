"""funcX in notebooks: the `%%funcx` cell magic and its library twins. Importing it needs no IPython."""

from __future__ import annotations

from typing import Any


def load_ipython_extension(shell: Any) -> None:
    """``%load_ext funcx_jupyter``."""
    from funcx_jupyter.extension import load  # noqa: PLC0415 - importing this package needs no IPython

    load(shell)


def unload_ipython_extension(shell: Any) -> None:
    """``%unload_ext funcx_jupyter``."""
    from funcx_jupyter.extension import unload  # noqa: PLC0415 - importing this package needs no IPython

    unload(shell)
