"""Handlers for the logger ``funcx``, as the first releases had them; later ones leave it to `logging`."""

from __future__ import annotations

import logging
import os
from typing import Final

FORMAT: Final = "%(asctime)s %(name)s:%(lineno)d [%(levelname)s]  %(message)s"


def set_stream_logger(name: str = "funcx", level: int = logging.DEBUG, format_string: str | None = None) -> None:
    """Write what is logged to standard error.

    Args:
        name: the logger.
        level: the lowest level that is written.
        format_string: as `logging.Formatter` takes it.
    """
    _add(logging.StreamHandler(), name, level, format_string)


def set_file_logger(
    filename: str | os.PathLike[str], name: str = "funcx", level: int = logging.DEBUG, format_string: str | None = None
) -> None:
    """Append what is logged to a file; see `set_stream_logger`."""
    _add(logging.FileHandler(filename), name, level, format_string)


def _add(handler: logging.Handler, name: str, level: int, format_string: str | None) -> None:
    handler.setLevel(level)
    handler.setFormatter(logging.Formatter(format_string or FORMAT))
    logger = logging.getLogger(name)
    logger.setLevel(level)
    logger.addHandler(handler)
