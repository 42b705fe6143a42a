"""The client's methods about parameter studies."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from funcx_core.errors import InvalidId, MapNotFound, UsageError
from funcx_core.ids import EndpointId, parse_id
from funcx_core.protocol.resources import Resources
from funcx_core.sdk.client_maps import MapMethods
from funcx_core.sdk.options import task_options

if TYPE_CHECKING:
    from funcx_core.sdk.grids.grid import Grid
    from funcx_core.sdk.maps import FuncXMap

_LOOKED_THROUGH: Final = 200
"""Maps among which a grid is looked for by name: your newest ones."""
_CATCH_UP_SECONDS: Final = 10.0
_MOST_RETRIES: Final = 10


class GridMethods(MapMethods):
    """A function at each point of a grid, as one durable record with a table."""

    def grid(
        self,
        fn: Callable[..., Any],
        points: Any,
        *,
        endpoint_id: str | None = None,
        how: str = "product",
        sample: int | None = None,
        seed: int | None = None,
        retries: int = 0,
        chunksize: int | str = "auto",
        name: str = "",
        container_id: str | None = None,
        walltime: float | None = None,
        retry_on_loss: int = 0,
        priority: int = 0,
        resources: Resources | Mapping[str, Any] | None = None,
    ) -> Grid:
        """Call ``fn`` at each point of a grid of parameters, and return the study; see `funcx.grid`.

        Raises:
            UsageError: these are no points, or the function does not take them.
            SerializationError: the function or a value cannot be sent.
            EndpointNotFound: it is unknown.
        """
        from funcx_core.sdk.grids.calls import packer_of  # noqa: PLC0415 - for those who have grids
        from funcx_core.sdk.grids.points import points_of  # noqa: PLC0415 - as above
        from funcx_core.sdk.grids.record import GridRecord, write_record  # noqa: PLC0415 - as above

        if not 0 <= retries <= _MOST_RETRIES:
            raise UsageError(f"retries is {retries}; 0 to {_MOST_RETRIES} are possible.")
        record = GridRecord(points_of(points, how=how, sample=sample, seed=seed), retries)
        calls = self.map_maker().submit(
            fn,
            iter(record.points),
            endpoint_id=EndpointId(self._only_endpoint() if endpoint_id is None else self.find_endpoint(endpoint_id)),
            chunksize=chunksize,
            name=name,
            options=task_options(container_id, walltime, retry_on_loss, priority, resources),
            about=write_record(record),
            pack=packer_of(fn, record.points.names),
        )
        return self._watched(calls, record)

    def get_grid(self, grid: str) -> Grid:
        """Return a parameter study that was submitted before, by this or another process, given by id or by name.

        Of several with this name it is the newest. What had ended is there when it returns, unless that takes too long to fetch.

        Raises:
            MapNotFound: there is none, or it is not yours.
            UsageError: it is a map without a grid.
        """
        from funcx_core.sdk.grids.record import read_record  # noqa: PLC0415 - for those who have grids

        found = self.get_map(self._grid_id(grid))
        about = found.about()
        if not about:
            raise UsageError(
                f"'{grid}' is a map without parameters: FuncXClient().get_map('{found.map_id}') gives its results."
            )
        return self._watched(found, read_record(about), patience=_CATCH_UP_SECONDS)

    def _grid_id(self, grid: str) -> str:
        try:
            return parse_id(grid, "grid id")
        except InvalidId:
            named = [row for row in self.get_maps(_LOOKED_THROUGH) if row["name"] == grid]
        if not named:
            raise MapNotFound(grid, "`FuncXClient().get_maps()` lists your newest ones.")
        return str(named[0]["map_id"])

    def _watched(self, calls: FuncXMap, record: Any, *, patience: float = 0.0) -> Grid:
        from funcx_core.sdk.grids.grid import Grid  # noqa: PLC0415 - for those who have grids

        made = Grid(calls, record, self._endpoint_name(calls.endpoint_id))
        made.start(patience=patience)
        return made

    def _endpoint_name(self, endpoint_id: str) -> str:
        names = {str(row["uuid"]): str(row.get("name") or "") for row in self.get_endpoints()}
        return names.get(endpoint_id) or endpoint_id
