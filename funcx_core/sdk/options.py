"""How tasks are to be run, as users say it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from numbers import Integral, Real
from typing import Any, Final

import msgspec

from funcx_core.ids import ContainerId, TaskId, parse_id
from funcx_core.protocol.resources import Resources, priority_fault
from funcx_core.protocol.task import MOST_AFTER, TaskOptions
from funcx_core.sdk.futures import FuncXFuture

MOST_RETRIES: Final = 10

_OTHER_NAMES: Final = {
    "cpu": "cores",
    "cpus": "cores",
    "num_cpus": "cores",
    "mem": "memory_gb",
    "memory": "memory_gb",
    "gpu": "accelerators",
    "gpus": "accelerators",
    "num_gpus": "accelerators",
    "num_nodes": "nodes",
    "num_ranks": "ranks",
}
_NAMES: Final = tuple(Resources.__struct_fields__)


def task_options(
    container_id: Any,
    walltime: float | None,
    retry_on_loss: int,
    priority: int = 0,
    resources: Resources | Mapping[str, Any] | None = None,
    *,
    after: Iterable[Any] = (),
) -> TaskOptions:
    """Return the options. `after`: see `upstream_ids`.

    Raises:
        ValueError: one of them is out of its range.
    """
    if not isinstance(retry_on_loss, Integral) or not 0 <= retry_on_loss <= MOST_RETRIES:
        raise ValueError(f"retry_on_loss is {retry_on_loss!r}; it must be a number between 0 and {MOST_RETRIES}.")
    if walltime is not None and not (isinstance(walltime, Real) and walltime > 0):
        raise ValueError(f"walltime is {walltime!r}; it must be a positive number of seconds.")
    if (fault := priority_fault(priority)) is not None:
        raise ValueError(fault)
    container = None if container_id is None else ContainerId(parse_id(container_id, "container id"))
    return TaskOptions(
        walltime=walltime,
        retry_on_loss=retry_on_loss,
        container_id=container,
        priority=priority,
        resources=as_resources(resources),
        after=upstream_ids(after),
    )


def upstream_ids(after: Iterable[Any]) -> tuple[TaskId, ...]:
    """Return the ids of tasks that another one is to wait for, given as ids, futures or tasks of a notebook.

    It returns when the service has those that were just submitted: it takes only what it knows.

    Raises:
        InvalidId: one of them is none of these.
        ValueError: they are too many.
    """
    given = [after] if isinstance(after, str) or hasattr(after, "task_id") else list(after)
    found = tuple(dict.fromkeys(TaskId(parse_id(str(getattr(one, "task_id", one)), "task id")) for one in given))
    if len(found) > MOST_AFTER:
        raise ValueError(
            f"after has {len(found)} tasks; at most {MOST_AFTER} are allowed. Gather them by tasks in between."
        )
    for one in given:
        if isinstance(one, FuncXFuture):
            one.wait_until_accepted()
    return found


def as_resources(given: Resources | Mapping[str, Any] | None) -> Resources | None:
    """Return what a task needs of its node, from names and numbers; None if it needs nothing special.

    >>> as_resources({"cores": 4, "memory_gb": 16, "accelerators": 1})
    Resources(cores=4.0, memory_gb=16.0, accelerators=1)

    Also understood are ``cpus``, ``mem``, ``gpus``, and the names of later releases: ``num_nodes``, ``num_ranks``.

    Raises:
        ValueError: a name is unknown or a number cannot be.
    """
    if given is None:
        return None
    found = given if isinstance(given, Resources) else _from_names(given)
    if (fault := found.fault()) is not None:
        raise ValueError(f"resources: {fault}")
    return None if found == Resources() else found


def _from_names(given: Mapping[str, Any]) -> Resources:
    numbers: dict[str, Any] = {}
    for name, number in given.items():
        known = _OTHER_NAMES.get(name, name)
        if known not in _NAMES:
            raise ValueError(f"resources: there is no '{name}'.{_nearest(name)} Known are {', '.join(_NAMES)}.")
        if known in numbers:
            raise ValueError(f"resources: '{known}' is given twice.")
        numbers[known] = number
    try:
        return msgspec.convert(numbers, Resources)
    except msgspec.ValidationError as error:
        raise ValueError(f"resources: {error}.") from None


def _nearest(name: str) -> str:
    near = difflib.get_close_matches(name, [*_NAMES, *_OTHER_NAMES], n=1)
    return f" Did you mean '{near[0]}'?" if near else ""
