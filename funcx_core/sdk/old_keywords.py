"""Keywords of old releases that have no meaning any more: taken with a warning, so that old notebooks run."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from typing import Final

EXECUTOR: Final = {
    "batch_enabled": "Batches form by themselves, and a lone call never waits for others.",
    "batch_interval": "Batches form by themselves; nothing waits for an interval.",
    "batch_mode": "Batches form by themselves, and a lone call never waits for others.",
    "results_ws_uri": "Results come from the service of the client.",
}


def warn_of_old(given: Iterable[str], known: Mapping[str, str], of: str) -> None:
    """Warn of every keyword in `given`, whose reason `known` has.

    Raises:
        TypeError: one is not in `known`; names it, as Python does.
    """
    for name in given:
        if name not in known:
            raise TypeError(f"{of}() got an unexpected keyword argument '{name}'")
        warnings.warn(f"'{name}' has no effect any more. {known[name]}", DeprecationWarning, stacklevel=3)
