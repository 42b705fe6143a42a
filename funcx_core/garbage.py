"""Garbage collection in processes that live long and serve."""

from __future__ import annotations

import gc
from typing import Final

THRESHOLD: Final = 20_000


def pass_over_what_is_there() -> None:
    """Look for garbage less often, and only among what is made from now on.

    What was imported stays. Looking through all of it takes tens of milliseconds, in which nobody is served.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(THRESHOLD)
