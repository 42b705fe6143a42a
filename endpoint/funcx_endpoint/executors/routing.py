"""What an executor's settings say about who gets which task."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

from funcx_core.errors import ConfigError
from funcx_endpoint.shapes import Node, Routing

if TYPE_CHECKING:
    from funcx_endpoint.executors.high_throughput import HighThroughputExecutor

MODES: Final = ("hard", "soft")


def check_routing(scheduler_mode: str, prefetch_capacity: int | None) -> None:
    """Raise `ConfigError` unless these can be."""
    if scheduler_mode not in MODES:
        raise ConfigError(f"scheduler_mode is {scheduler_mode!r}; it must be 'hard' or 'soft'.")
    if prefetch_capacity is not None and prefetch_capacity < 0:
        raise ConfigError(f"prefetch_capacity is {prefetch_capacity}; it must be 0 or more tasks, or None.")


def routing(executor: HighThroughputExecutor, *, is_local: bool, block_seconds: float | None) -> Routing:
    """Return the rules for an agent. `is_local`: its nodes are this machine; `block_seconds`: how long a block lasts."""
    named = executor.available_accelerators
    node = Node(
        executor.workers_per_node(),
        _cores(executor.provider, is_local=is_local),
        _memory(executor.provider, is_local=is_local),
        named if isinstance(named, int) else len(named),
        block_seconds,
    )
    return Routing(is_hard=executor.scheduler_mode == "hard", prefetch=executor.prefetch_capacity, node=node)


def said_cores(provider: Any) -> int | None:
    """Return how many processors a provider asks for on each node, if it says so."""
    said = getattr(provider, "cores_per_node", None)
    return int(said) if said else None


def said_memory(provider: Any) -> int | None:
    """Return how many bytes of memory a provider asks for on each node, if it says so."""
    said = getattr(provider, "mem_per_node", None)
    return int(said * 1e9) if said else None


def _cores(provider: Any, *, is_local: bool) -> int | None:
    return said_cores(provider) or (len(os.sched_getaffinity(0)) if is_local else None)


def _memory(provider: Any, *, is_local: bool) -> int | None:
    here = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return said_memory(provider) or (here if is_local else None)
