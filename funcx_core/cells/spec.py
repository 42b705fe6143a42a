"""The argument and the value of the one function that runs notebook cells, as bytes that both ends read."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from funcx_core.protocol.blob import BlobReference
from funcx_core.protocol.codec import Decoder

LAST_VALUE: Final = "_"
"""What the value of the last expression is called, where values have names."""


class ModuleAlias(msgspec.Struct, frozen=True, array_like=True):
    """A module that the notebook imported: the worker imports `module` and binds it to `name`."""

    name: str
    module: str


class FigureStyle(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How the notebook wants figures: the settings of its inline backend."""

    formats: tuple[str, ...] = ("png",)
    print_options: dict[str, Any] = {}
    rc: dict[str, Any] = {}


class Piece(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True):
    """Some bytes of a cell's inputs: in `content`, or in the blob beside the task that has this SHA-256."""

    sha256: str = ""
    content: bytes = b""


class Place(msgspec.Struct, frozen=True, array_like=True):
    """Where a buffer is: in which of the pieces, from where on, how many bytes."""

    piece: int
    start: int
    size: int


class Stream(msgspec.Struct, frozen=True, array_like=True):
    """Variables that may share parts.

    Attributes:
        names: of the variables, in the order of their pickles.
        pickles: what one `CellPickler` wrote.
        pieces: what has the large buffers that the pickles refer to (see PEP 574).
        buffers: where in the pieces they are, in the order in which the pickles need them.
    """

    names: list[str]
    pickles: Piece
    pieces: list[Piece] = []
    buffers: list[Place] = []


class ModuleSource(msgspec.Struct, frozen=True, array_like=True):
    """A module that goes with the cell. `filename`: of its text at home; empty for a package without a file of its own."""

    name: str
    filename: str
    text: str
    is_package: bool


class CellSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A cell to run.

    Attributes:
        source: plain Python whose line numbers are those of the visible cell.
        filename: the name under which the notebook knows the cell; frames of tracebacks carry it.
        text: the cell as the user sees it, for source lines in tracebacks.
        places: what people call the files of cells whose code is here: ``Cell In[3]``.
        modules: imports to repeat.
        names: captured variables, in the order of their pickles in `values`.
        values: what `CellPickler` wrote.
        sources: an encoded list of `ModuleSource`; empty for none.
        streams: further variables, whose bytes are large.
        blobs: what the pieces that are not here are in.
        outputs: variables to send back.
        watched: variables of which the notebook wants to know whether the cell changed them in place.
        as_there_are: outputs that are not assigned in the end, or that cannot be sent, are left behind, and that is no error.
        requires: requirements of packages; where one is not met the cell does not start.
        keep: variables to keep where the cell runs.
        keep_value: keep the value of the last expression there, too, as `LAST_VALUE`: another cell may ask for it.
        flags: the compiler's flags of features that an earlier cell has imported from `__future__`.
        origin: what its author had: hashes of `code` and `inputs`, `seed`, `commit`, `container`. It does not change what runs.
        silent: the last expression ends with a semicolon; show nothing.
        figures: how to render figures.
        progress: how progress bars come: ``auto`` as what they are, ``text`` as characters, ``off`` not at all.
        value_limit: bytes; the value of the last expression is sent back only up to this size.
        result_limit: bytes; more than this is not sent back. Outputs over it are kept where the cell runs.
        brings: it only brings what is kept there: where that cannot be sent, it is not kept a second time.
    """

    source: str
    filename: str
    text: str = ""
    places: dict[str, str] = {}
    modules: list[ModuleAlias] = []
    names: list[str] = []
    values: bytes = b""
    sources: Piece = Piece()
    streams: list[Stream] = []
    blobs: list[BlobReference] = []
    outputs: list[str] = []
    watched: list[str] = []
    as_there_are: bool = False
    requires: list[str] = []
    keep: list[str] = []
    keep_value: bool = False
    flags: int = 0
    origin: dict[str, str] = {}
    silent: bool = False
    figures: FigureStyle = FigureStyle()
    progress: str = "auto"
    value_limit: int = 1024 * 1024
    result_limit: int = 10 * 1024 * 1024
    brings: bool = False

    @property
    def variables(self) -> list[str]:
        """All variables that are captured."""
        return [*self.names, *(name for stream in self.streams for name in stream.names)]


class Bundle(msgspec.Struct, frozen=True, array_like=True):
    """One thing to show, in every form there is of it: MIME type to content."""

    data: dict[str, Any]
    metadata: dict[str, Any] = {}


class KeptFacts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is known of a value that stays on the endpoint, without having it.

    Attributes:
        name: of the variable; `LAST_VALUE` for that of the last expression.
        size: bytes of its pickle.
        kept_seconds: how long it is kept after it was used last.
        over: the limit in bytes that it was over; 0 if it was meant to stay.
        refused: why the service did not take it, in a sentence; empty if it was not asked to.
        type_name: its class, as people write it.
        shape: as its class tells it; None if it has none.
        dtype: likewise, in words.
        columns: likewise; the first hundred of them.
        length: what `len` tells; None if it has none.
        shown: what it looks like, bounded.
    """

    name: str
    size: int
    kept_seconds: float = 0.0
    over: int = 0
    refused: str = ""
    type_name: str = ""
    shape: list[int] | None = None
    dtype: str = ""
    columns: list[str] = []
    length: int | None = None
    shown: Bundle | None = None


class CellOutcome(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a cell ended that did not raise.

    Attributes:
        sizes: bytes of each output's pickle, in the order of `CellSpec.outputs` without those in `kept` and `left`.
        values: the pickles of the outputs, one after the other.
        kept: values that stayed on the endpoint.
        names: of the variables in `values`, if these are so large that the service may refuse them; they may be looked for on the endpoint then.
        code: what of the notebook's they need there: a pickle of functions and classes by name.
        shown: what the last expression looks like; None if there is nothing to show.
        value: the pickle of the last expression's value; None if it stayed behind.
        left: outputs that were left behind: their names, and why; nothing if the cell has not assigned them.
        left_behind: why it stayed behind, for people.
        changed: those of `CellSpec.watched` that were changed in place.
        hostname: where the cell ran.
        python_version: of that Python.
        platform: operating system, release and architecture there, in words.
        processor: name of the processor there.
        devices: numbers of the accelerators that the cell was given; empty for none.
        image: what names the image of the container that it ran in, and no other; empty for none, or if nobody knows.
        origin: `CellSpec.origin`, so that it stays with the result; in `seed` also those that only the run tells.
        packages: what the cell used that does not come with Python: version of each package, by the name it is imported as; empty
            where the package does not say.
    """

    sizes: list[int] = []
    values: bytes = b""
    kept: list[KeptFacts] = []
    names: list[str] = []
    code: bytes = b""
    shown: Bundle | None = None
    value: bytes | None = None
    left: dict[str, str] = {}
    left_behind: str = ""
    changed: list[str] = []
    hostname: str = ""
    python_version: str = ""
    platform: str = ""
    processor: str = ""
    devices: str = ""
    image: str = ""
    packages: dict[str, str] = {}
    origin: dict[str, str] = {}


source_decoder: Final[Decoder[list[ModuleSource]]] = Decoder(list[ModuleSource])
spec_decoder: Final[Decoder[CellSpec]] = Decoder(CellSpec)
outcome_decoder: Final[Decoder[CellOutcome]] = Decoder(CellOutcome)
