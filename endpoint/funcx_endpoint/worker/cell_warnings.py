"""Warnings of a cell name it as tracebacks do, by its number: the file name that the kernel has for it says nothing to anybody."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager


@contextmanager
def warnings_named(places: Mapping[str, str]) -> Iterator[None]:
    """Within this, warnings of these files are told by their places, ``Cell In[3], line 2: UserWarning: …``; others as ever.

    A format that the cell sets itself holds, and stays no longer than the cell.
    """
    before = warnings.formatwarning

    def formatted(
        message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
    ) -> str:
        text = before(message, category, filename, lineno, line)
        known = f"{filename}:{lineno}:"
        if filename not in places or not text.startswith(known):
            return text
        return f"{places[filename]}, line {lineno}:{text.removeprefix(known)}"

    warnings.formatwarning = formatted
    try:
        yield
    finally:
        warnings.formatwarning = before
