"""Where a cell ran and with what, as facts that stay with its result or its error."""

from __future__ import annotations

import functools
import os
import platform
from typing import Any

from funcx_core.cells.rebuild import Arrivals
from funcx_core.cells.seeds import with_noted
from funcx_core.cells.spec import CellSpec
from funcx_endpoint.manager.node.environment import processor
from funcx_endpoint.worker.image import image
from funcx_endpoint.worker.packages import packages_of

_DEVICES = ("CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ZE_AFFINITY_MASK")


def whereabouts(spec: CellSpec, arrivals: Arrivals) -> dict[str, Any]:
    """Return the fields of a `CellOutcome` that say where the cell ran, with which packages, and where it came from."""
    return {
        "hostname": platform.node(),
        "python_version": platform.python_version(),
        "platform": platform.platform(),
        "processor": _processor(),
        "devices": next((os.environ[name] for name in _DEVICES if os.environ.get(name)), ""),
        "image": image(),
        "packages": packages_of(arrivals.namespace.values(), (alias.module for alias in spec.modules)),
        "origin": _origin(spec),
    }


def _origin(spec: CellSpec) -> dict[str, str]:
    known = with_noted(spec.origin.get("seed", ""))
    return {**spec.origin, "seed": known} if known else spec.origin


@functools.cache
def _processor() -> str:
    return processor()
