"""`%%funcx` runs a cell elsewhere; `%funcx` asks and tells about endpoints and tasks."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from IPython.core.magic import (
    Magics,
    line_cell_magic,
    magics_class,
    needs_local_scope,
    no_var_expand,
    output_can_be_silenced,
)
from msgspec import structs

from funcx_core.errors import FuncxError
from funcx_jupyter import explain, shell
from funcx_jupyter.auto_cells import AutoCells
from funcx_jupyter.capture.values import Notebook
from funcx_jupyter.cellmaps.plan import MapPlan, plan_map
from funcx_jupyter.cellmaps.run import CellMapRun
from funcx_jupyter.cellmaps.task import CellMapTask
from funcx_jupyter.errors import nothing_sent, shown_in_one_line
from funcx_jupyter.options import parser
from funcx_jupyter.options.cell import CellOptions
from funcx_jupyter.options.line_form import Known, LineForm, read_line
from funcx_jupyter.own_magics import OwnMagics
from funcx_jupyter.screens import BackgroundShellScreen, running_screen
from funcx_jupyter.script_cells import python_for
from funcx_jupyter.session.cell_task import CellTask
from funcx_jupyter.session.endpoints import Endpoint
from funcx_jupyter.session.outcome import Finished
from funcx_jupyter.session.prepare import CellText, PreparedCell, prepare
from funcx_jupyter.session.run import CellRun
from funcx_jupyter.session.state import Session
from funcx_jupyter.settings.files import IN_NOTEBOOK
from funcx_jupyter.settings.keys import SETTINGS
from funcx_jupyter.settings.layers import ENDPOINT
from funcx_jupyter.settings.traits import traits
from funcx_jupyter.trials.both import RunBoth
from funcx_jupyter.trials.here import RunHere
from funcx_jupyter.verbs import table
from funcx_jupyter.verbs.desk import Desk

_WithSettings: Any = type(Magics)("_WithSettings", (Magics,), dict(traits()))


@magics_class
class FuncxMagics(_WithSettings):  # type: ignore[misc]
    """The magics of one shell."""

    def __init__(self, ip: Any, session: Session | None = None) -> None:
        super().__init__(ip)
        self.session = session or Session()
        self.values = shell.ValueDisplay(ip)
        self.has_greeted = False
        self.own = OwnMagics(ip, self._run_own)
        self.auto = AutoCells(ip, lambda text: running_screen(ip, quiet=False).notice(text))

    @no_var_expand  # type: ignore[untyped-decorator]
    @output_can_be_silenced  # type: ignore[untyped-decorator]
    @needs_local_scope  # type: ignore[untyped-decorator]
    @line_cell_magic  # type: ignore[untyped-decorator]
    def funcx(self, line: str, cell: str | None = None, local_ns: dict[str, Any] | None = None) -> Any:
        """See `HELP`."""
        self._look_around()
        if cell is None and table.begins(line):
            return self._verb(line)
        return self._run_line(line, local_ns, table.VERBS, {}) if cell is None else self._run_cell(line, cell, {})

    def _run_own(self, line: str, cell: str | None, local_ns: dict[str, Any] | None, given: dict[str, Any]) -> Any:
        """Run a cell or a line of a magic of the user's own. `given`: what the magic stands for."""
        self._look_around()
        return self._run_line(line, local_ns, (), given) if cell is None else self._run_cell(line, cell, given)

    def _run_cell(self, line: str, cell: str, given: dict[str, Any]) -> Any:
        chosen = self._options(line, given)
        return self._run(chosen, self._prepare(line, cell, chosen))

    def _run_line(
        self, line: str, local_ns: dict[str, Any] | None, known_verbs: Collection[str], given: dict[str, Any]
    ) -> Any:
        notebook = shell.notebook_of(self.shell, local_ns)
        asked = read_line(line, Known(known_verbs, self.session.endpoint_names, notebook.own_names()))
        chosen = self._options(asked.options, given)
        return self._run(chosen, self._prepared_line(line, asked, chosen, notebook))

    def _options(self, line: str, given: dict[str, Any]) -> CellOptions:
        try:
            defaults = self.session.configuration.defaults() | given
        except FuncxError as error:
            raise shown_in_one_line(error) from None
        chosen = parser.parse_cell_line(line, defaults)
        return structs.replace(chosen, endpoint=chosen.endpoint or given.get(ENDPOINT))

    def _run(self, chosen: CellOptions, prepared: PreparedCell | MapPlan) -> Any:
        if chosen.local and isinstance(prepared, PreparedCell) and not chosen.explain:
            here = RunHere(prepared, chosen, shell.look_of(self.shell))
            return self._shown(here.run(self.shell.user_ns, running_screen(self.shell, quiet=chosen.quiet)))
        try:
            endpoint = self._endpoint(chosen)
            if chosen.explain and isinstance(prepared, MapPlan):
                return explain.of_map(self.session, endpoint, prepared, chosen)
            if chosen.explain and isinstance(prepared, PreparedCell):
                self.session.recall.open(shell.place_of(self.shell).notebook)  # Earlier kernels know how long it took.
                return explain.of_cell(self.session, endpoint, prepared, chosen)
            if chosen.compare and isinstance(prepared, PreparedCell):
                run: Any = RunBoth(self.session, endpoint, prepared, chosen, shell.look_of(self.shell), shell.swallowed)
            else:
                run = run_of(self.session, endpoint, prepared, chosen)
        except FuncxError as error:
            raise self.session.presented(error) from None
        if chosen.is_async:
            return self._started(run, chosen)
        place, quiet = shell.place_of(self.shell), chosen.quiet
        if isinstance(run, CellMapRun):
            return self._shown(run.run(self.shell.user_ns, place, BackgroundShellScreen(self.shell, quiet=quiet)))
        return self._shown(run.run(self.shell.user_ns, place, running_screen(self.shell, quiet=quiet)))

    def _look_around(self) -> None:
        """Note what is set in this kernel, and what the front end tells of the cell."""
        configuration = self.session.configuration
        configuration.here = {name: value for name in SETTINGS if (value := getattr(self, name)) is not None}
        configuration.notebook = Path(shell.place_of(self.shell).notebook)
        configuration.cell = shell.cell_metadata(self.shell).get(IN_NOTEBOOK) or {}

    def _endpoint(self, chosen: CellOptions) -> Endpoint:
        found, instead_of = self.session.endpoint_or(
            chosen.endpoint, fallback=chosen.fallback, waits=chosen.wait_endpoint is not None
        )
        if instead_of:
            running_screen(self.shell, quiet=False).notice(f"{instead_of} is offline: running on {found.name} instead.")
        return found

    def _started(self, run: CellRun | CellMapRun, chosen: CellOptions) -> CellTask | CellMapTask:
        screen = BackgroundShellScreen(self.shell, quiet=chosen.quiet)
        task = run.start(self.shell.user_ns, shell.place_of(self.shell), screen)
        if chosen.name:
            self.shell.user_ns[chosen.name] = task
        if screen.is_live:
            self.values.expect(task, None)  # It is shown already.
        return task

    def _verb(self, line: str) -> Any:
        self.session.recall.open(shell.place_of(self.shell).notebook)
        desk = Desk(
            self.session,
            self.shell.user_ns,
            lambda: running_screen(self.shell, quiet=False),
            lambda: BackgroundShellScreen(self.shell, quiet=False),
            self._shown,
            self.own,
            self.auto,
            lambda: shell.may_ask(self.shell),
        )
        shown = table.run(desk, line)
        for name in SETTINGS:  # Perhaps `%funcx config` has changed some.
            setattr(self, name, self.session.configuration.here.get(name))
        return shown

    def _prepare(self, line: str, cell: str, chosen: CellOptions) -> PreparedCell | MapPlan:
        notebook, code = shell.notebook_of(self.shell), None
        if chosen.is_shell:
            code, chosen = python_for(cell, chosen, notebook)
        try:
            text = shell.cell_text(self.shell, line, cell, code=code)
        except SyntaxError as error:
            shell.show_without_frames(self.shell, error)
            raise
        return self._prepared(text, chosen, notebook)

    def _prepared_line(
        self, line: str, asked: LineForm, chosen: CellOptions, notebook: Notebook
    ) -> PreparedCell | MapPlan:
        code = asked.expression
        if chosen.is_shell:
            code, chosen = python_for(code, chosen, notebook)
        return self._prepared(shell.line_text(self.shell, line, code, silent=asked.silent), chosen, notebook)

    def _prepared(self, text: CellText, chosen: CellOptions, notebook: Notebook) -> PreparedCell | MapPlan:
        try:
            with nothing_sent():
                if chosen.map is None:
                    return prepare(text, chosen, notebook, shell.figure_style())
                return plan_map(text, chosen, chosen.map, notebook, shell.figure_style())
        except SyntaxError as error:
            shell.show_without_frames(self.shell, error)
            raise

    def _shown(self, finished: Finished) -> Any:
        if finished.value is not None and not finished.is_plain:
            self.values.expect(finished.value, finished.shown)
        return finished.value


def run_of(
    session: Session, endpoint: Endpoint, prepared: PreparedCell | MapPlan, chosen: CellOptions
) -> CellRun | CellMapRun:
    """Return what runs the cell, once or for each element."""
    if isinstance(prepared, MapPlan):
        return CellMapRun(session, endpoint, prepared, chosen)
    return CellRun(session, endpoint, prepared, chosen)


FuncxMagics.funcx.__doc__ = f"""Run this cell on an endpoint.

    %%funcx theta -o result
    result = simulate(df)

Variables, functions, classes and imports of the notebook that the cell uses go with it. What it prints and shows appears
here while it runs; the last expression becomes Out[n]; variables named with -o are assigned when it has succeeded.

    %%funcx theta --shell -i case
    cd "$case" && make -j 8

    value = %funcx theta simulate(df)

An expression in a line runs in the same way, with the same options before it, and is the value of the line.

{parser.HELP}
{table.HELP}"""
