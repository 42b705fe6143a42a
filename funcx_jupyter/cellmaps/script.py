"""Maps of cells in scripts: ``cell(source, map={"seed": range(200)})``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from funcx_core.cells.spec import FigureStyle
from funcx_core.errors import UsageError
from funcx_jupyter.capture.values import Notebook
from funcx_jupyter.cellmaps.clause import MapClause
from funcx_jupyter.cellmaps.plan import plan_map
from funcx_jupyter.cellmaps.run import CellMapRun
from funcx_jupyter.options.cell import CellOptions
from funcx_jupyter.options.rules import fitting
from funcx_jupyter.session.prepare import CellText
from funcx_jupyter.session.state import Session


def map_run(
    session: Session,
    endpoint: str | None,
    text: CellText,
    options: CellOptions,
    variables: dict[str, Any],
    *,
    given: Mapping[str, Iterable[Any]],
) -> CellMapRun:
    """Return the run of a cell of a script for each element.

    Args:
        session: of the process.
        endpoint: where, if the options do not say.
        text: the cell.
        options: what its caller asked for.
        variables: of the script.
        given: the variable that is bound to the element, and the elements.

    Raises:
        UsageError: there is not exactly one variable, or an option does not go with it.
        SyntaxError, CaptureError: as `plan_map` does.
    """
    if len(given) != 1:
        raise UsageError(f"map has {len(given)} variables; give one, such as map={{'seed': range(200)}}.")
    ((variable, elements),) = given.items()
    if not variable.isidentifier():
        raise UsageError(f"map: '{variable}' cannot be the name of a variable.")
    clause = MapClause(variable, "…")
    chosen = fitting(msgspec.structs.replace(options, map=clause))
    plan = plan_map(text, chosen, clause, Notebook(variables), FigureStyle(), given=elements)
    return CellMapRun(session, session.endpoint(options.endpoint or endpoint), plan, chosen)
