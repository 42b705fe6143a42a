"""funcX in notebooks: the `%%funcx` cell magic and its library twins. Importing it needs no IPython."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from funcx_core.progress.bar import progress
    from funcx_jupyter.cellmaps.refs import MapRef
    from funcx_jupyter.library import cell, on, remote, start
    from funcx_jupyter.session.remote_ref import RemoteRef
    from funcx_jupyter.widgets.front import EndpointPicker, TaskMonitor, TaskView, Timeline
    from funcx_jupyter.with_block import remotely

__all__ = [
    "EndpointPicker",
    "MapRef",
    "RemoteRef",
    "TaskMonitor",
    "TaskView",
    "Timeline",
    "cell",
    "load_ipython_extension",
    "on",
    "progress",
    "remote",
    "remotely",
    "start",
    "unload_ipython_extension",
]
_HOMES = {
    "MapRef": "funcx_jupyter.cellmaps.refs",
    "RemoteRef": "funcx_jupyter.session.remote_ref",
    "cell": "funcx_jupyter.library",
    "on": "funcx_jupyter.library",
    "progress": "funcx_core.progress.bar",
    "remote": "funcx_jupyter.library",
    "remotely": "funcx_jupyter.with_block",
    "start": "funcx_jupyter.library",
}
"""Where things are that need no IPython. Importing this package is fast: they are imported when they are asked for."""


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
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    try:
        from funcx_jupyter.widgets import front  # noqa: PLC0415 - importing this package needs no IPython
    except ModuleNotFoundError as error:
        advice = f"{name} needs {error.name}. Install what notebooks need: pip install 'funcx-workbench[jupyter]'"
        raise ModuleNotFoundError(advice, name=error.name) from error

    return getattr(front, name)
