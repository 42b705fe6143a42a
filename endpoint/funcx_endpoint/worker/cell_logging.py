"""Loggers as a cell leaves them are not there for the next one: a handler that each run adds would tell every record twice.

A kernel keeps them, and users know that of it; which worker ran a cell before nobody knows.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def own_logging() -> Iterator[None]:
    """Put the root logger back as it was, and reset those that belong to no module: the loggers of libraries are theirs."""
    root = _state(logging.root)
    known = {logger.name: _state(logger) for logger in _of_users()}
    try:
        yield
    finally:
        _restore(logging.root, root)
        for logger in _of_users():
            _restore(logger, known.get(logger.name, _FRESH))


_FRESH: dict[str, Any] = {"handlers": [], "filters": [], "level": logging.NOTSET, "propagate": True, "disabled": False}


def _of_users() -> list[logging.Logger]:
    loggers = list(logging.root.manager.loggerDict.values())
    return [logger for logger in loggers if isinstance(logger, logging.Logger) and _is_users(logger.name)]


def _is_users(name: str) -> bool:
    top = name.partition(".")[0]
    return top == "__main__" or top not in sys.modules


def _state(logger: logging.Logger) -> dict[str, Any]:
    return {
        name: list(value) if isinstance(value := getattr(logger, name), list) else value
        for name in ("handlers", "filters", "level", "propagate", "disabled")
    }


def _restore(logger: logging.Logger, state: dict[str, Any]) -> None:
    for name, value in state.items():
        if name == "level":
            logger.setLevel(value)  # It also forgets what was decided by the old one.
        else:
            setattr(logger, name, list(value) if isinstance(value, list) else value)
