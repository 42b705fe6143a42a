"""How our widgets appear: as core ipywidgets where there are a kernel and ipywidgets, and always as text and HTML beside it."""

from __future__ import annotations

import uuid
from typing import Any

from funcx_jupyter.widgets.last_words import at_the_end, forget
from funcx_jupyter.widgets.poller import running_loop

VIEW_TYPE = "application/vnd.jupyter.widget-view+json"


class Shown:
    """Base of what shows itself in a notebook. Subclasses say what it is made of; `self.view` is the widget, once it is shown.

    A saved notebook keeps the text and the HTML of the last time they were published: when it was shown, when there was nothing
    left to wait for, and at `freeze`.
    """

    def __init__(self) -> None:
        self.view: Any = None
        self._is_frozen = False
        self._is_shown = False
        self._is_out_of_sight = False
        self._display_id = uuid.uuid4().hex

    # --- what subclasses say -----------------------------------------------------------------------------------

    def _as_text(self) -> str:
        raise NotImplementedError

    def _as_html(self) -> str:
        raise NotImplementedError

    def _make_view(self) -> Any:
        """Return the view; its `root` is a widget."""
        raise NotImplementedError

    def _has_view(self) -> bool:
        """Return whether what the view is made of is installed."""
        return has_widgets()

    def _start(self) -> None:
        """It is in sight now: ask the service, and go on as long as it makes sense."""
        raise NotImplementedError

    def _stop(self) -> None:
        """Ask no more."""
        raise NotImplementedError

    def refresh(self) -> None:
        """Ask the service once, here and now."""
        raise NotImplementedError

    # --- what users do -----------------------------------------------------------------------------------------

    def freeze(self) -> None:
        """Replace the widget by what it shows now, as HTML that any viewer of the notebook can show. Nothing is asked any more."""
        self.leave_html()
        self.close()

    def leave_html(self) -> None:
        """Put HTML in the place of the widget. That comes first: whatever happens next, there is something to read."""
        self._is_frozen = True
        if self._is_shown:
            self._publish(update=True)

    def close(self) -> None:
        """Remove the widget and stop asking. What was known can still be printed."""
        self._stop()
        forget(self)
        view, self.view = self.view, None
        if view is not None:
            view.close()

    # --- what Jupyter asks -------------------------------------------------------------------------------------

    def __repr__(self) -> str:
        if running_loop() is None and not self._is_frozen:
            self.refresh()  # In a terminal and in scripts nobody else asks.
        return self._as_text()

    def _repr_html_(self) -> str:
        return self._as_html()

    def _ipython_display_(self) -> None:
        if running_loop() is None:
            if not self._is_frozen:
                self.refresh()
        elif not self._is_frozen:
            self._open()
        self._publish(update=False)
        self._is_shown = True
        if self.view is not None:
            at_the_end(self)

    def _open(self) -> None:
        if self.view is None and self._has_view():
            self.view = self._make_view()
            self._watch_front_end(self.view.root)
        if self.view is None:
            self.refresh()  # Nothing will change what is shown: it has to be right at once.
        else:
            self._start()

    def _watch_front_end(self, root: Any) -> None:
        """Ask nothing while no front end shows it. One that never counts its views, such as nbclient, is asked for anyway."""
        root._view_count = 0  # noqa: SLF001 - documented: a number makes front ends count
        root.observe(self._seen_by, names="_view_count")
        if root.comm is not None:
            root.comm.on_close(lambda _: self.close())

    def _seen_by(self, change: dict[str, Any]) -> None:
        if self.view is None:
            return
        if not change["new"]:
            self._is_out_of_sight = True
            self._stop()
        elif self._is_out_of_sight:
            self._is_out_of_sight = False
            self._start()

    def _publish(self, *, update: bool) -> None:
        from IPython.display import display, update_display  # noqa: PLC0415 - scripts need no IPython

        bundle: dict[str, Any] = {"text/plain": self._as_text(), "text/html": self._as_html()}
        if self.view is not None and not self._is_frozen:
            bundle[VIEW_TYPE] = {"version_major": 2, "version_minor": 0, "model_id": self.view.root.model_id}
        show = update_display if update else display
        show(bundle, raw=True, display_id=self._display_id)

    def _publish_again(self) -> None:
        """Let a saved notebook have the latest text and HTML."""
        if self._is_shown and not self._is_frozen:
            self._publish(update=True)


def has_widgets() -> bool:
    """Whether ipywidgets is installed."""
    try:
        import ipywidgets  # noqa: F401, PLC0415 - looked for only where a widget is shown
    except ImportError:
        return False
    return True
