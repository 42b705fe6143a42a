"""`EndpointPicker`: choose where cells run, and see how the endpoints are."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from typing import Any, Final

from traitlets import HasTraits, Instance, Tuple, Unicode

from funcx_core.errors import FuncxError
from funcx_core.ids import TaskId
from funcx_jupyter.errors import UnknownEndpoint
from funcx_jupyter.session.endpoints import Endpoint
from funcx_jupyter.session.state import Session
from funcx_jupyter.widgets import picker_forms
from funcx_jupyter.widgets.errands import Errands
from funcx_jupyter.widgets.fed import Fed
from funcx_jupyter.widgets.feed import States
from funcx_jupyter.widgets.local_endpoints import LocalEndpoint, LocalEndpoints
from funcx_jupyter.widgets.notebook import notebook_session
from funcx_jupyter.widgets.picker_model import PickerModel
from funcx_jupyter.widgets.poller import running_loop
from funcx_jupyter.widgets.service import Service, the_service

IDLE: Final = 600.0
"""Seconds without a click after which a picker asks no more, until Refresh is pressed."""

_Answer = tuple[list[Endpoint], list[LocalEndpoint] | None]


class EndpointPicker(Fed, HasTraits):  # type: ignore[misc]
    """Shows your endpoints, and lets you choose one.

    >>> picker = EndpointPicker()
    >>> picker.value                       # the id of the chosen one; `picker.observe(f, names="value")`
    >>> picker.endpoint.name

    Args:
        value: name or id of an endpoint that is chosen at first.
        session: the notebook's, for the button "Use in this notebook"; the one of the loaded extension if it is None.
        service: what is asked.
        local: the endpoints of this machine.
        clock: the time in seconds, by any clock.
    """

    value = Unicode("", help="Id of the chosen endpoint; empty for none.")
    endpoint = Instance(Endpoint, allow_none=True, read_only=True, help="The chosen endpoint, as it was last heard of.")
    options = Tuple(read_only=True, help="The endpoints that are known, in the order of the list.")

    def __init__(
        self,
        value: str = "",
        *,
        session: Session | None = None,
        service: Service | None = None,
        local: LocalEndpoints | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        Fed.__init__(self, service or the_service())
        HasTraits.__init__(self)
        self.model = PickerModel(platform.python_version())
        self._session = session or notebook_session()
        self._local = local or LocalEndpoints()
        self._clock = clock
        self._used_at = clock()
        self._wants_local = True
        self._wanted = value or (self._session.used if self._session is not None else None) or ""
        self._errands = Errands(self._failed)
        self.observe(self._on_value, names="value")

    def _on_value(self, change: dict[str, Any]) -> None:
        wanted = str(change["new"])
        found = self.model.find(wanted) if wanted else None
        if found is not None and found.endpoint_id != wanted:
            self.value = found.endpoint_id  # A name was set; what is kept is the id.
            return
        self.model.chosen = wanted
        self._tell_traits()
        self._show()

    def _tell_traits(self) -> None:
        self.set_trait("options", tuple(self.model.known()))
        self.set_trait("endpoint", self.model.row(self.value))

    # --- what the feed asks ------------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Ask the service once, here and now."""
        self._wants_local = True
        self._feed.once(self)

    def refresh_soon(self) -> None:
        """Ask the service as soon as the kernel has a moment, and go on asking."""
        self._wants_local = True
        self._touch()

    def _touch(self) -> None:
        self._used_at = self._clock()
        if running_loop() is not None:
            self._feed.serve(self)

    def open_ids(self) -> list[TaskId]:
        """Return no task: it is about endpoints."""
        return []

    def goes_on(self) -> bool:
        """Whether somebody has clicked lately."""
        if self._clock() - self._used_at < IDLE:
            return True
        self._notice("Paused, because nothing was clicked for ten minutes. Refresh goes on.")
        return False

    def look(self, states: States) -> _Answer:  # noqa: ARG002 - of tasks, of which it has none
        """Ask for the endpoints."""
        # Which ones are of this machine changes only by commands, and costs a process to find out.
        is_asked_for = self._wants_local
        local = self._local.list() if is_asked_for else None
        return self._service.endpoints(fresh=is_asked_for), local

    def tell(self, answer: _Answer) -> bool:
        """Take what one tick brought."""
        rows, local = answer
        if local is not None:
            self._wants_local = False
            self.model.learn_local(local)
        changed = self.model.learn(rows)
        self._choose_wanted()
        self._tell_traits()
        self._show()
        if changed:
            self._publish_again()
        return changed

    def _choose_wanted(self) -> None:
        if self._wanted and (found := self.model.find(self._wanted)) is not None:
            self._wanted = ""
            self.value = found.endpoint_id

    def fail(self, error: FuncxError) -> None:
        """Say that the service does not answer."""
        self.model.lose_contact(str(error))
        self._show()

    # --- what controls do --------------------------------------------------------------------------------------

    def pick(self, name_or_id: str) -> None:
        """Choose an endpoint by name or id.

        Raises:
            UnknownEndpoint: there is none of that name.
        """
        found = self.model.find(name_or_id)
        if found is None:
            raise UnknownEndpoint(f"No endpoint named '{name_or_id}'.", name_or_id)
        self.value = found.endpoint_id
        self._touch()

    def use(self) -> None:
        """Let cells that name no endpoint run on the chosen one, as `%funcx use` does."""
        row = self.endpoint
        if row is None or self.model.why_not_use(row):
            return self._notice(self.model.why_not_use(row))
        if self._session is None:
            return self._notice("Load the extension first: `%load_ext funcx_jupyter`.")
        self._session.used = row.endpoint_id
        return self._notice(f"Cells run on {row.name} from now on.")

    def code(self) -> None:
        """Show the lines that do the same without a widget."""
        row = self.endpoint
        if row is None:
            return self._notice("Choose an endpoint first.")
        if self.view is not None:
            self.view.code([f"%%funcx {row.name}", f"%funcx use {row.name}"])
        return None

    def start(self) -> None:
        """Start the chosen endpoint, if it is of this machine."""
        self._command("Starting", self.model.why_not_start(self.endpoint), self._local.start)

    def stop(self) -> None:
        """Stop the chosen endpoint, if it is of this machine."""
        self._command("Stopping", self.model.why_not_stop(self.endpoint), self._local.stop)

    def _command(self, doing: str, why_not: str, command: Callable[[str], None]) -> None:
        row = self.endpoint
        if row is None or why_not:
            return self._notice(why_not)
        self.model.busy = f"{doing} {row.name} …"
        self._notice(self.model.busy)
        self._show()
        return self._errands.run(lambda: command(row.name), lambda _: self._commanded(""))

    def _failed(self, reason: str) -> None:
        self._commanded(reason)

    def _commanded(self, notice: str) -> None:
        self.model.busy = ""
        self._notice(notice)
        self._show()
        self.refresh_soon()

    # --- how it looks ------------------------------------------------------------------------------------------

    def _show(self) -> None:
        if self.view is not None:
            self.view.show()

    def _notice(self, text: str) -> None:
        if self.view is not None:
            self.view.notice(text)

    def _make_view(self) -> Any:
        from funcx_jupyter.widgets.picker_view import PickerView  # noqa: PLC0415 - needs ipywidgets

        return PickerView(self.model, self)

    def _as_text(self) -> str:
        return picker_forms.as_text(self.model)

    def _as_html(self) -> str:
        return picker_forms.as_html(self.model)
