"""funcX in notebooks: the `%%funcx` cell magic and its library twins. Importing it needs no IPython."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from funcx_core.progress.bar import progress
    from funcx_jupyter.library import cell, on, remote, start
    from funcx_jupyter.widgets.front import EndpointPicker, TaskMonitor, TaskView, Timeline

__all__ = [
    "EndpointPicker",
    "TaskMonitor",
    "TaskView",
    "Timeline",
    "cell",
    "load_ipython_extension",
    "on",
    "progress",
    "remote",
    "start",
    "unload_ipython_extension",
]
_LIBRARY = frozenset({"cell", "on", "remote", "start"})


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
    if name == "progress":
        from funcx_core.progress.bar import progress  # noqa: PLC0415 - importing this package is fast

        return progress
    if name in _LIBRARY:
        from funcx_jupyter import library  # noqa: PLC0415 - importing this package is fast

        return getattr(library, name)
    try:
        from funcx_jupyter.widgets import front  # noqa: PLC0415 - importing this package needs no IPython
    except ModuleNotFoundError as error:
        advice = f"{name} needs {error.name}. Install what notebooks need: pip install 'funcx-workbench[jupyter]'"
        raise ModuleNotFoundError(advice, name=error.name) from error

    return getattr(front, name)
