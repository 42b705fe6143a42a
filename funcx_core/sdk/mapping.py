"""`funcx.map`, `funcx.grid` and their kin: the functions for those who want no client object."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from funcx_core.sdk.client import FuncXClient

if TYPE_CHECKING:
    from funcx_core.protocol.resources import Resources
    from funcx_core.sdk.grids.grid import Grid
    from funcx_core.sdk.maps import FuncXMap
    from funcx_core.sdk.provenance.record import Provenance
    from funcx_core.sdk.settings import Settings

_clients: dict[Settings, FuncXClient] = {}
_lock = threading.Lock()


def map_calls(
    fn: Callable[..., Any],
    *iterables: Iterable[Any],
    endpoint: str | None = None,
    chunksize: int | str = "auto",
    name: str = "",
    walltime: float | None = None,
    retry_on_loss: int = 0,
    priority: int = 0,
    resources: Resources | Mapping[str, Any] | None = None,
    client: FuncXClient | None = None,
) -> FuncXMap:
    """Call ``fn`` on the items of the iterables on an endpoint, as the builtin `map` pairs them.

    >>> squares = funcx.map(square, range(1_000_000), endpoint="theta")
    >>> total = sum(squares)

    It returns when the service has all calls on disk; this process may end then, and another one go on with
    ``FuncXClient().get_map(squares.map_id)``.

    Args:
        fn: the function.
        *iterables: the arguments, one iterable each; generators are read as fast as the service takes them.
        endpoint: id or name of the endpoint; without it the one that is online, if there is just one.
        chunksize: calls per task; ``"auto"`` measures what a call takes.
        name: a name for people.
        walltime: seconds after which a task of `chunksize` calls is stopped. What is complete of it stays.
        retry_on_loss: how often a task runs again by itself when its worker, manager or endpoint dies (0 to 10).
        priority: -100 to 100; of your tasks at an endpoint those with the highest number start first.
        resources: what a task needs of its node, such as ``{"cores": 4, "memory_gb": 16, "accelerators": 1}``.
        client: the client to use; one for this service is made, and kept, if it is None.
    """
    return (client or _usual_client()).map(
        fn,
        *iterables,
        endpoint_id=endpoint,
        chunksize=chunksize,
        name=name,
        walltime=walltime,
        retry_on_loss=retry_on_loss,
        priority=priority,
        resources=resources,
    )


def grid(
    fn: Callable[..., Any],
    points: Any,
    *,
    endpoint: str | None = None,
    how: str = "product",
    sample: int | None = None,
    seed: int | None = None,
    retries: int = 0,
    chunksize: int | str = "auto",
    name: str = "",
    walltime: float | None = None,
    retry_on_loss: int = 0,
    priority: int = 0,
    resources: Resources | Mapping[str, Any] | None = None,
    client: FuncXClient | None = None,
) -> Grid:
    """Call ``fn`` at each point of a grid of parameters on an endpoint; the results are a table.

    >>> study = funcx.grid(simulate, {"x": [1, 2, 3], "seed": range(100)}, endpoint="theta", name="pilot")
    >>> study.table()    # at any time

    It returns when the service has all points on disk; another process goes on with ``funcx.get_grid("pilot")``.

    Args:
        fn: the function; the parameters are its arguments, by name.
        points: parameters and the values that they take. What is no collection is the same at all points. Or the points themselves: a
            DataFrame, or a list of dicts.
        endpoint: id or name of the endpoint; without it the one that is online, if there is just one.
        how: ``"product"`` for every combination of the values, ``"zip"`` to take them value by value.
        sample: run so many of the points only, drawn at random.
        seed: of that choice.
        retries: how often a point at which the function raises is run again, while a process of yours watches the study (0 to 10).
        chunksize: points per task; ``"auto"`` measures what one takes.
        name: a name by which it can be found again.
        walltime: seconds after which a task of `chunksize` points is stopped. What is complete of it stays.
        retry_on_loss: how often a task runs again by itself when its worker, manager or endpoint dies (0 to 10).
        priority: -100 to 100; of your tasks at an endpoint those with the highest number start first.
        resources: what a task needs of its node, such as ``{"cores": 4, "memory_gb": 16, "accelerators": 1}``.
        client: the client to use; one for this service is made, and kept, if it is None.
    """
    return (client or _usual_client()).grid(
        fn,
        points,
        endpoint_id=endpoint,
        how=how,
        sample=sample,
        seed=seed,
        retries=retries,
        chunksize=chunksize,
        name=name,
        walltime=walltime,
        retry_on_loss=retry_on_loss,
        priority=priority,
        resources=resources,
    )


def get_grid(grid: str, *, client: FuncXClient | None = None) -> Grid:
    """Return a parameter study that was submitted before, by this or another process, given by id or by name.

    Args:
        grid: its ``grid_id``, or its name; of several with this name the newest.
        client: the client to use; one for this service is made, and kept, if it is None.
    """
    return (client or _usual_client()).get_grid(grid)


def provenance(
    task: Any, *, function: Callable[..., Any] | None = None, client: FuncXClient | None = None
) -> Provenance:
    """Return how the result of a task came to be: code, inputs, environment, place and times. What is not known is said, too.

    >>> funcx.provenance(future).to_ro_crate("crate")

    Args:
        task: its id, its future, or a task of a notebook.
        function: what it ran, for the source.
        client: the client to use; one for this service is made, and kept, if it is None.
    """
    return (client or _usual_client()).get_provenance(task, function=function)


def _usual_client() -> FuncXClient:
    """Return the client for what settings and environment say now."""
    made = FuncXClient()
    with _lock:
        return _clients.setdefault(made.settings, made)
