"""The argument and the value of the one function that runs notebook cells, as bytes that both ends read."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from funcx_core.protocol.codec import Decoder


class ModuleAlias(msgspec.Struct, frozen=True, array_like=True):
    """A module that the notebook imported: the worker imports `module` and binds it to `name`."""

    name: str
    module: str


class FigureStyle(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How the notebook wants figures: the settings of its inline backend."""

    formats: tuple[str, ...] = ("png",)
    print_options: dict[str, Any] = {}
    rc: dict[str, Any] = {}


class CellSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A cell to run.

    Attributes:
        source: plain Python whose line numbers are those of the visible cell.
        filename: the name under which the notebook knows the cell; frames of tracebacks carry it.
        text: the cell as the user sees it, for source lines in tracebacks.
        modules: imports to repeat.
        names: captured variables, in the order of their pickles in `values`.
        values: what `CellPickler` wrote.
        outputs: variables to send back.
        requires: requirements of packages; where one is not met the cell does not start.
        silent: the last expression ends with a semicolon; show nothing.
        figures: how to render figures.
        progress: how progress bars come: ``auto`` as what they are, ``text`` as characters, ``off`` not at all.
        value_limit: bytes; the value of the last expression is sent back only up to this size.
        result_limit: bytes; more than this cannot be sent back.
    """

    source: str
    filename: str
    text: str = ""
    modules: list[ModuleAlias] = []
    names: list[str] = []
    values: bytes = b""
    outputs: list[str] = []
    requires: list[str] = []
    silent: bool = False
    figures: FigureStyle = FigureStyle()
    progress: str = "auto"
    value_limit: int = 1024 * 1024
    result_limit: int = 10 * 1024 * 1024


class Bundle(msgspec.Struct, frozen=True, array_like=True):
    """One thing to show, in every form there is of it: MIME type to content."""

    data: dict[str, Any]
    metadata: dict[str, Any] = {}


class CellOutcome(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a cell ended that did not raise.

    Attributes:
        sizes: bytes of each output's pickle, in the order of `CellSpec.outputs`.
        values: the pickles of the outputs, one after the other.
        shown: what the last expression looks like; None if there is nothing to show.
        value: the pickle of the last expression's value; None if it stayed behind.
        left_behind: why it stayed behind, for people.
        hostname: where the cell ran.
        python_version: of that Python.
        platform: operating system, release and architecture there, in words.
        packages: what the cell used that does not come with Python: version of each package, by the name it is imported as; empty
            where the package does not say.
    """

    sizes: list[int] = []
    values: bytes = b""
    shown: Bundle | None = None
    value: bytes | None = None
    left_behind: str = ""
    hostname: str = ""
    python_version: str = ""
    platform: str = ""
    packages: dict[str, str] = {}


spec_decoder: Final[Decoder[CellSpec]] = Decoder(CellSpec)
outcome_decoder: Final[Decoder[CellOutcome]] = Decoder(CellOutcome)
