"""A cell on a worker has nobody who could answer it: `input` and `getpass` say so at once, and what to do instead."""

from __future__ import annotations

import builtins
import getpass
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn


@contextmanager
def nobody_answers() -> Iterator[None]:
    """Within this, whoever asks gets an `EOFError` that says what to do."""
    before = builtins.input, getpass.getpass
    builtins.input, getpass.getpass = _input, _getpass
    try:
        yield
    finally:
        builtins.input, getpass.getpass = before


def _input(prompt: Any = "", /) -> NoReturn:
    del prompt
    raise EOFError(_refusal("input"))


def _getpass(prompt: str = "Password: ", stream: Any = None) -> NoReturn:
    del prompt, stream
    raise EOFError(_refusal("getpass"))


def _refusal(name: str) -> str:
    return f"{name}() cannot ask you from where this cell runs. Ask in a cell of the notebook, and use the answer as a variable here."
