"""A `%%funcx` cell before it is sent: what goes with it, and everything that can be wrong with it here."""

from __future__ import annotations

import ast
import sys
from collections.abc import Mapping, Sequence

import msgspec

from funcx_core.cells.sources import ANNOTATIONS
from funcx_core.cells.spec import CellSpec, FigureStyle, Piece, Stream
from funcx_core.protocol.codec import encode
from funcx_jupyter.capture.imports import Import, imports_of, modules_of, names_of_missing_modules
from funcx_jupyter.capture.local_modules import LocalModule, find_local_modules
from funcx_jupyter.capture.mutation import watched
from funcx_jupyter.capture.names import CellNames, NameUse, analyse
from funcx_jupyter.capture.values import Captured, Notebook, choose_inputs, pack
from funcx_jupyter.display import words
from funcx_jupyter.errors import CaptureError, LargeInputError
from funcx_jupyter.options.cell import ALL, CellOptions
from funcx_jupyter.session.environment import OFF
from funcx_jupyter.session.size_limits import ROOM_FOR_CODE


class CellText(msgspec.Struct, frozen=True, kw_only=True):
    """A cell as the shell has it.

    Attributes:
        visible: what the user sees, with the lines of magics.
        body: what is to run elsewhere: plain Python, with the shell's own syntax already translated.
        first_line: number of the visible line on which the body starts, from 1.
        filename: the name under which the shell knows the cell.
        silent: it ends with a semicolon.
        flags: the compiler's flags of features that an earlier cell has imported from `__future__`.
        numbers: N of ``In[N]`` of each cell, by the name under which the shell knows it.
    """

    visible: str
    body: str
    first_line: int
    filename: str
    silent: bool = False
    flags: int = 0
    numbers: Mapping[str, int] = {}

    @property
    def source(self) -> str:
        """The body, moved down so that its line numbers are the visible ones."""
        return "\n" * (self.first_line - 1) + self.body


class PreparedCell(msgspec.Struct, frozen=True):
    """A cell that can be sent: nothing that can be found out here is wrong with it."""

    spec: CellSpec
    captured: Captured
    imports: tuple[Import, ...] = ()
    local: tuple[LocalModule, ...] = ()

    @property
    def size(self) -> int:
        """Bytes of all of it."""
        return len(encode(self.spec)) + sum(part.size for part in self.captured.packed.parts.values())


def prepare(
    text: CellText, options: CellOptions, notebook: Notebook, figures: FigureStyle, *, also: tuple[str, ...] = ()
) -> PreparedCell:
    """Return the cell with everything that goes with it. `also`: names that go along whether the cell uses them or not.

    Raises:
        SyntaxError: with the visible line.
        CaptureError: a variable is missing or cannot be sent.
    """
    tree = parse(text)
    names = analyse(tree, annotates_later=bool(text.flags & ANNOTATIONS))
    uses = choose_inputs(
        names, notebook, listed=options.inputs, exclude=options.exclude, may_be_undefined=options.env == OFF
    )
    known = {use.name for use in uses}
    uses += [NameUse(name, 0, required=False) for name in also if name not in known and notebook.has(name)]
    outputs = choose_outputs(options.outputs, names)
    if ALL in options.outputs:
        elsewhere = names_of_missing_modules(tree)
        outputs = tuple(name for name in outputs if name not in elsewhere)
    outputs = tuple(name for name in outputs if name not in options.refs)
    refs = choose_outputs(options.refs, names, option="--ref")
    captured = pack(uses, notebook, exclude=options.exclude)
    local = _local_modules(tree, captured, options.exclude)
    files = sorted({text.filename, *captured.packed.files})
    spec = CellSpec(
        source=text.source,
        filename=text.filename,
        text=text.visible,
        places={name: f"Cell In[{text.numbers[name]}]" for name in files if name in text.numbers},
        modules=captured.modules,
        names=captured.packed.names,
        values=captured.packed.pickles,
        streams=captured.packed.streams,
        sources=captured.packed.keep(_encoded(local)),
        outputs=list(outputs),
        as_there_are=ALL in options.outputs,
        keep=list(refs),
        watched=[] if options.quiet or options.map else watched(tree, names, captured, (*outputs, *refs)),
        keep_value=options.is_async,
        requires=list(options.requires),
        flags=text.flags,
        silent=text.silent,
        figures=figures,
        progress=options.progress,
    )
    return PreparedCell(spec, captured, tuple(_needs(tree, names, captured, local)), tuple(local))


def _local_modules(tree: ast.Module, captured: Captured, exclude: tuple[str, ...]) -> list[LocalModule]:
    used = [*modules_of(tree), *(alias.module for alias in captured.modules), *sorted(captured.packed.modules)]
    return find_local_modules(used, exclude)


def _encoded(local: Sequence[LocalModule]) -> bytes:
    return encode([source for module in local for source in module.sources]) if local else b""


def _needs(tree: ast.Module, names: CellNames, captured: Captured, local: Sequence[LocalModule]) -> list[Import]:
    """Return the modules that have to be where the cell runs: what it imports, and what the notebook's names are."""
    repeated = [
        Import(top, names.line_of(alias.name) or 0, f"the notebook imports it as `{alias.name}`")
        for alias in captured.modules
        if (top := alias.module.partition(".")[0]) not in sys.stdlib_module_names
    ]
    wanted = [*imports_of(tree), *repeated, *(need for module in local for need in module.needs)]
    sent = {module.name for module in local}
    return [need for need in wanted if need.module not in sent]


def parse(text: CellText) -> ast.Module:
    """Return the syntax tree of the cell, whose lines are the visible ones.

    Raises:
        SyntaxError: also for what only the compiler finds, such as `return` outside of a function.
    """
    tree = ast.parse(text.source, text.filename)
    compile(tree, text.filename, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT | text.flags, dont_inherit=True)
    return tree


def choose_outputs(asked: tuple[str, ...], names: CellNames, *, option: str = "-o") -> tuple[str, ...]:
    """Return the names to bring back, or to keep there.

    Raises:
        CaptureError: the cell has nothing to do with one of them.
    """
    if ALL in asked:
        return tuple(dict.fromkeys([*names.assigned, *(name for name in asked if name != ALL)]))
    known = names.possible | {use.name for use in names.inputs}
    for name in asked:
        if name not in known:
            raise CaptureError(f"`{name}` is named with {option}, but the cell does not assign it.")
    return asked


def check_size(spec: CellSpec, captured: Captured, limit: int, why: str = "") -> None:
    """Refuse inputs that the service would not take inside of a cell, where they have to be for the reason `why`.

    Raises:
        LargeInputError: naming the largest variable.
    """
    total = len(encode(spec))
    if total + ROOM_FOR_CODE <= limit or not captured.values:
        return
    largest = max(captured.values, key=lambda value: value.size)
    if why:
        raise LargeInputError(f"`{largest.name}` is {words.size(largest.size)}. {why}")
    raise LargeInputError(
        f"`{largest.name}` is {words.size(largest.size)}; all inputs of this cell are {words.size(total)}, and this service "
        f"takes at most {words.size(limit)}. Load it inside the cell, or exclude it with -x {largest.name}."
    )


def with_pieces_inside(spec: CellSpec, captured: Captured) -> CellSpec:
    """Return the cell for a service without a store for large values: with all bytes inside."""

    def inside(piece: Piece) -> Piece:
        return Piece(content=bytes(captured.packed.parts[piece.sha256].content())) if piece.sha256 else piece

    streams = [
        Stream(stream.names, inside(stream.pickles), [inside(piece) for piece in stream.pieces], stream.buffers)
        for stream in spec.streams
    ]
    return msgspec.structs.replace(spec, streams=streams, sources=inside(spec.sources))
