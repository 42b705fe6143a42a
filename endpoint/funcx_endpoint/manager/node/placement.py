"""Which accelerator and which processors belong to which worker of a node. Pure: numbers and names in, numbers and names out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

AFFINITIES: Final = ("none", "block", "block-reverse", "alternating")
LISTED: Final = "list:"
"""Begins an affinity that names the processors itself: ``list:0,1:2,3`` gives the first worker 0 and 1, the second 2 and 3."""


def accelerator_variables(
    accelerators: int | Sequence[str], worker: int, inherited: Mapping[str, str]
) -> dict[str, str]:
    """Return the environment that shows a worker its accelerator and no other.

    Args:
        accelerators: their names as the vendor's variables take them (``"0"``, ``"GPU-8f1c"``, ``"0,1"`` for two at once), or how
            many: then they are those that the batch system gave to this node, in its order.
        worker: index of the worker.
        inherited: the environment of the manager, in which a batch system may have named accelerators already.
    """
    if not accelerators:
        return {}
    rocm = _pick(accelerators, worker, inherited, "ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES")
    return {
        "CUDA_VISIBLE_DEVICES": _pick(accelerators, worker, inherited, "CUDA_VISIBLE_DEVICES"),
        "ROCR_VISIBLE_DEVICES": rocm,
        # HIP counts within what ROCR lets through. Without this it would take CUDA's variable for its own, and find nothing.
        "HIP_VISIBLE_DEVICES": ",".join(str(index) for index in range(len(rocm.split(",")))),
        "ZE_AFFINITY_MASK": _pick(accelerators, worker, inherited, "ZE_AFFINITY_MASK"),
        "ZE_ENABLE_PCI_ID_DEVICE_ORDER": "1",
    }


def _pick(accelerators: int | Sequence[str], worker: int, inherited: Mapping[str, str], *names: str) -> str:
    if not isinstance(accelerators, int):
        return accelerators[worker % len(accelerators)]
    for name in names:
        listed = inherited.get(name, "").split(",")
        if listed[0] and len(listed) >= accelerators:
            return listed[worker % accelerators].strip()
    return str(worker % accelerators)


def processors(affinity: str, worker: int, workers: int, available: Sequence[int]) -> list[int]:
    """Return the processors that a worker is bound to; none for a worker that is not bound.

    Args:
        affinity: one of `AFFINITIES`, or one that begins with `LISTED`.
        worker: index of the worker.
        workers: how many there are on the node.
        available: processors that the manager may use, in order.
    """
    if affinity == "none":
        return []
    if affinity.startswith(LISTED):
        return [number for number in _listed(affinity)[worker] if number in available]
    if workers > len(available):
        return [available[worker % len(available)]]
    if affinity == "alternating":
        return list(available[worker::workers])
    size = len(available) // workers
    begin = worker * size if affinity == "block" else len(available) - (worker + 1) * size
    return list(available[begin : begin + size])


def check_affinity(affinity: str) -> int | None:
    """Return for how many workers an affinity is good; None for any number.

    Raises:
        ValueError: it is none. The text says which there are.
    """
    if affinity in AFFINITIES:
        return None
    if isinstance(affinity, str) and affinity.startswith(LISTED):
        try:
            return len(_listed(affinity))
        except ValueError:
            pass
    raise ValueError(
        f"cpu_affinity is {affinity!r}; it must be one of {', '.join(AFFINITIES)}, or such as 'list:0,1:2,3'."
    )


def _listed(affinity: str) -> list[list[int]]:
    groups = affinity.removeprefix(LISTED).split(":")
    return [[int(number) for number in group.split(",")] for group in groups]
