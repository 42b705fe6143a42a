"""funcX in notebooks: the `%%funcx` cell magic and its library twins. Importing it needs no IPython."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from funcx_jupyter.widgets.front import EndpointPicker, TaskMonitor, TaskView

__all__ = ["EndpointPicker", "TaskMonitor", "TaskView", "load_ipython_extension", "unload_ipython_extension"]


def load_ipython_extension(shell: Any) -> None:
    """``%load_ext funcx_jupyter``."""
    from funcx_jupyter.extension import load  # noqa: PLC0415 - importing this package needs no IPython

    load(shell)


def unload_ipython_extension(shell: Any) -> None:
    """``%unload_ext funcx_jupyter``."""
    from funcx_jupyter.extension import unload  # noqa: PLC0415 - importing this package needs no IPython

    unload(shell)


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from funcx_jupyter.widgets import front  # noqa: PLC0415 - importing this package needs no IPython

    return getattr(front, name)
