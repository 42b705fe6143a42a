"""IPython in a worker, with no kernel: `display`, figures and `get_ipython()` work, and what they show becomes events."""

from __future__ import annotations

import base64
import html
import json
import os
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from IPython.core.displaypub import DisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from traitlets import Type
from traitlets.config import Config

from funcx_core.cells.spec import Bundle, FigureStyle
from funcx_core.protocol.task import EventKind
from funcx_endpoint.worker.capture import emit

_INLINE = "module://matplotlib_inline.backend_inline"
_WIDGET = "application/vnd.jupyter.widget-view+json"


class EventPublisher(DisplayPublisher):  # type: ignore[misc]
    """Sends what is displayed as events of the running task."""

    def publish(
        self,
        data: dict[str, Any],
        metadata: dict[str, Any] | None = None,
        source: str | None = None,  # noqa: ARG002 - part of IPython's interface
        *,
        transient: dict[str, Any] | None = None,
        update: bool = False,
        **_: Any,
    ) -> None:
        """Send a MIME bundle."""
        bundle = _portable(data, metadata or {})
        kind = EventKind.UPDATE_DISPLAY if update else EventKind.DISPLAY
        emit(
            kind, json.dumps({"data": bundle.data, "metadata": bundle.metadata, "transient": transient or {}}).encode()
        )

    def clear_output(self, wait: bool = False) -> None:
        """Tell the notebook to remove what the cell has shown."""
        emit(EventKind.CLEAR, json.dumps({"wait": wait}).encode())


def _portable(data: dict[str, Any], metadata: dict[str, Any]) -> Bundle:
    shown = {mime: base64.b64encode(c).decode() if isinstance(c, bytes) else c for mime, c in data.items()}
    if shown.pop(_WIDGET, None) is not None:
        shown = _without_life(shown)
    # Formatters may leave objects in metadata that only look like JSON.
    return Bundle(json.loads(json.dumps(shown, default=str)), json.loads(json.dumps(metadata, default=str)))


def _without_life(shown: dict[str, Any]) -> dict[str, Any]:
    """Return what stands for a widget: its model lives in this process and ends with it, so only its plain form can travel."""
    text = str(shown.get("text/plain", "a widget"))
    name = text.partition("(")[0]
    said = f"{name} is a widget of the place where the cell ran: it cannot be used from here. Bring values back with -o, and make the widget here."
    page = shown.get("text/html", f"<pre>{html.escape(text)}</pre>")
    return {
        **shown,
        "text/plain": f"{text}\n({said})",
        "text/html": f"<div>{page}<small>{html.escape(said)}</small></div>",
    }


class CellShell(InteractiveShell):  # type: ignore[misc]
    """The one shell of this worker process. Each cell brings its own namespace."""

    display_pub_class = Type(EventPublisher)
    _ready: ClassVar[CellShell | None] = None

    @classmethod
    def of_this_process(cls) -> CellShell:
        """Return the shell, made when the first cell comes."""
        if cls._ready is None:
            main, hooks = sys.modules["__main__"], (sys.excepthook, sys.displayhook)
            config = Config()
            config.HistoryManager.enabled = False
            config.InteractiveShell.colors = "nocolor"
            cls._ready = cls.instance(config=config)
            # A shell takes over the interpreter when it starts; here it only serves cells.
            sys.modules["__main__"] = main
            sys.excepthook, sys.displayhook = hooks
        return cls._ready

    @contextmanager
    def running(self, module: types.ModuleType, figures: FigureStyle) -> Iterator[None]:
        """While this is open, `display` and figures of code in `module` reach the user."""
        self.user_module, self.user_ns = module, module.__dict__
        self.user_ns["_dh"] = [Path.cwd()]  # `%cd` wants it.
        _prepare_figures(self, figures)
        try:
            with self.builtin_trap:
                yield
        finally:
            _forget_figures()
            self.user_module, self.user_ns = types.ModuleType("__main__"), {}

    def enable_gui(self, gui: str | None = None) -> None:
        """There is no screen here whose events somebody could wait for."""

    def enable_matplotlib(self, gui: str | None = None) -> tuple[str | None, str]:
        """Leave figures as they are, pictures that reach the notebook; what `%matplotlib` calls.

        Other backends than the inline one want a screen, or a kernel to talk to.
        """
        if gui not in {None, "auto", "inline", "agg"}:
            said = f"`%matplotlib {gui}` has no meaning where this cell runs: its figures are shown as pictures."
            print(said, file=sys.stderr)  # noqa: T201 - it is for the user
        return None, "inline"

    def finish_figures(self) -> None:
        """Show the figures that are still open."""
        if "matplotlib.pyplot" in sys.modules and _uses_inline():
            from matplotlib_inline.backend_inline import flush_figures  # noqa: PLC0415 - only for cells with figures

            flush_figures()

    def bundle(self, value: Any) -> Bundle | None:
        """Return what `value` looks like; None if it has shown itself."""
        data, metadata = self.display_formatter.format(value)
        return _portable(data, metadata) if data else None


def _prepare_figures(shell: CellShell, style: FigureStyle) -> None:
    if os.environ.setdefault("MPLBACKEND", _INLINE) != _INLINE:
        return  # The endpoint's owner or the user wants another backend.
    settings = {"figure_formats": set(style.formats), "rc": style.rc}
    if style.print_options:
        settings["print_figure_kwargs"] = style.print_options
    # matplotlib takes a second to import: that waits for the cell to do it, and the backend then reads these.
    shell.config.InlineBackend.update(settings)
    matplotlib = sys.modules.get("matplotlib")
    if matplotlib is not None:
        _apply(shell, settings, matplotlib)


def _apply(shell: CellShell, settings: dict[str, Any], matplotlib: types.ModuleType) -> None:
    """Prepare a matplotlib that an earlier task imported."""
    matplotlib.use(_INLINE)
    from matplotlib_inline.backend_inline import configure_inline_support  # noqa: PLC0415 - imports matplotlib
    from matplotlib_inline.config import InlineBackend  # noqa: PLC0415 - imports matplotlib

    backend = InlineBackend.instance(parent=shell)
    for name, value in settings.items():
        setattr(backend, name, value)
    matplotlib.rcParams.update(backend.rc)
    matplotlib.interactive(True)
    configure_inline_support(shell, _INLINE)


def _uses_inline() -> bool:
    return str(sys.modules["matplotlib"].get_backend()).lower() in {_INLINE, "inline"}


def _forget_figures() -> None:
    plt = sys.modules.get("matplotlib.pyplot")
    if plt is not None:
        plt.close("all")
        sys.modules["matplotlib"].rc_file_defaults()  # A style must not depend on which worker ran the last cell.
