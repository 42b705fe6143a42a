"""How every command ends that could not do what it was asked for."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import click

from funcx_core import interrupts
from funcx_core.errors import FuncxError

P = ParamSpec("P")
R = TypeVar("R")


def typed_errors(command: Callable[P, R]) -> Callable[P, R]:
    """Print an error of ours as one line; a traceback is for our own mistakes only."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            with interrupts.raised():
                return command(*args, **kwargs)
        except FuncxError as error:
            raise click.ClickException(str(error)) from None
        except KeyboardInterrupt:
            click.echo("\nInterrupted.", err=True)
            sys.exit(130)

    return run
