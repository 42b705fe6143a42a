"""Keywords of old releases that have no meaning against one's own service: taken, so that old notebooks run."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

EXECUTOR: Final = frozenset({"batch_enabled", "batch_interval", "batch_mode", "label", "results_ws_uri"})


def refuse_unknown(given: Iterable[str], known: frozenset[str], of: str) -> None:
    """Raise what Python raises for an unknown keyword, unless every one of `given` is in `known`.

    Raises:
        TypeError: names the first unknown keyword.
    """
    for name in given:
        if name not in known:
            raise TypeError(f"{of}() got an unexpected keyword argument '{name}'")
