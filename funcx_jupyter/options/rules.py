"""Which options of `%%funcx` do not go together. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from funcx_jupyter.errors import MagicArgumentError

if TYPE_CHECKING:
    from funcx_jupyter.options.cell import CellOptions


def fitting(options: CellOptions) -> CellOptions:
    """Return the options, which go together.

    Raises:
        MagicArgumentError: naming two that do not.
    """
    if (reason := _of_chunk(options) or _of_trial(options)) is not None:
        raise MagicArgumentError(f"Argument {reason} See `%%funcx?`.")
    return options


def _of_chunk(options: CellOptions) -> str | None:
    return None if options.chunk is None or options.map is not None else "--chunk: it goes with --map only."


def _of_trial(options: CellOptions) -> str | None:
    trial = "--local" if options.local else "--compare" if options.compare else ""
    if not trial:
        return None
    others = {"-a": options.is_async, "--map": options.map, "--ref": options.refs, "--after": options.after}
    other = next((name for name, given in others.items() if given), None)
    return None if other is None else f"{trial}: it goes without {other}."
