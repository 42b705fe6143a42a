"""Does a function load where nothing of this process is? A clean interpreter tries, before the function is registered.

The child starts isolated (``python -I``): no working folder, no PYTHONPATH, nothing of a notebook. It unpacks the function as a worker
would, runs nothing else of it, and tells what it met. That takes about a quarter of a second, so it is done when asked for; what can be
found out here without a child, packing a function finds out always.
"""

from __future__ import annotations

import builtins
import dis
import importlib.util
import subprocess
import sys
import tempfile
import types
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from funcx_core.errors import DeserializationError, SerializationError
from funcx_core.serialize.functions import unpack_function

TIMEOUT: Final = 30.0
"""Seconds for the child; loading a function may import much."""
_CHILD: Final = (
    "import sys; sys.path.insert(0, {root!r}); from funcx_core.serialize.offprocess import answer; "
    "sys.stdout.buffer.write(answer(sys.stdin.buffer.read()))"
)
_GLOBAL_OPS: Final = frozenset({"LOAD_GLOBAL", "LOAD_NAME"})


class Findings(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the child met.

    Attributes:
        error: class and text of what loading raised; empty if it loaded.
        module: the module that is missing, if that is why.
        unknown_imports: modules that the function imports when it is called, and that are not there.
        unknown_names: names that it uses and nothing defines.
    """

    error: str = ""
    module: str = ""
    unknown_imports: list[str] = []
    unknown_names: list[str] = []


class FunctionMayFail(UserWarning):
    """A function loads on a worker, and is likely to fail when it is called there."""


def check_loads(name: str, body: bytes, *, timeout: float = TIMEOUT) -> None:
    """Load a function in a clean interpreter. Warns (`FunctionMayFail`) of imports and names that nothing there has.

    Args:
        name: the function's name, for people.
        body: what `pack_function` returned.
        timeout: seconds.

    Raises:
        SerializationError: it does not load there, with why and what to do.
    """
    findings = _ask_child(name, body, timeout)
    if findings.error:
        raise SerializationError(f"Function '{name}' does not load in a clean Python: {_advice(findings)}")
    for text in _doubts(findings):
        warnings.warn(f"Function '{name}' {text}", FunctionMayFail, stacklevel=3)


def answer(body: bytes) -> bytes:
    """Load a function's body and return the `Findings` as JSON. This is what the child does."""
    return msgspec.json.encode(_findings(body))


def _findings(body: bytes) -> Findings:
    try:
        function = unpack_function(body)
    except DeserializationError as error:
        cause = error.__cause__ or error
        missing = (cause.name or "") if isinstance(cause, ModuleNotFoundError) else ""
        return Findings(error=f"{type(cause).__name__}: {cause}"[:500], module=missing)
    if not isinstance(function, types.FunctionType):
        return Findings()
    code, known = function.__code__, function.__globals__
    return Findings(
        unknown_imports=sorted({name for name in _imports(code) if not _is_there(name)}),
        unknown_names=sorted({name for name in _names(code) if name not in known and not hasattr(builtins, name)}),
    )


def _ask_child(name: str, body: bytes, timeout: float) -> Findings:
    # The folder of this package comes last: it may hold modules of the user, too.
    child = _CHILD.format(root=str(Path(__file__).parents[2]))
    with tempfile.TemporaryDirectory(prefix="funcx-check-") as folder:
        try:
            done = subprocess.run(
                [sys.executable, "-I", "-c", child],
                input=body,
                capture_output=True,
                timeout=timeout,
                cwd=folder,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise SerializationError(
                f"Function '{name}' did not load within {timeout:g} s in a clean Python. "
                "Move what takes long (imports, reading files) into the function."
            ) from None
    try:
        return msgspec.json.decode(done.stdout, type=Findings)
    except msgspec.MsgspecError:
        said = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        return Findings(error=f"the Python that loaded it ended ({said[0][:300]})")


def _advice(findings: Findings) -> str:
    if findings.module:
        top = findings.module.partition(".")[0]
        return (
            f"it needs the module '{findings.module}', which is not installed. If '{top}' is a file of yours, import the functions "
            f"you use (`from {top} import ...`), so that they travel along; if it is a package, install it where the workers run."
        )
    return f"{findings.error}. Create what it needs inside the function, or pass it as an argument."


def _doubts(findings: Findings) -> Iterator[str]:
    for name in findings.unknown_imports:
        yield f"imports '{name}', which a clean Python does not find. Install it where the workers run."
    for name in findings.unknown_names:
        yield f"uses `{name}`, which nothing defines. Define it before you register the function, or inside it."


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _codes(constant)


def _names(code: types.CodeType) -> Iterator[str]:
    for part in _codes(code):
        stored = {step.argval for step in dis.get_instructions(part) if step.opname.startswith("STORE_")}
        for step in dis.get_instructions(part):
            if step.opname in _GLOBAL_OPS and step.argval not in stored and not str(step.argval).startswith("__"):
                yield str(step.argval)


def _imports(code: types.CodeType) -> Iterator[str]:
    for part in _codes(code):
        previous: list[Any] = []
        for step in dis.get_instructions(part):
            if step.opname == "IMPORT_NAME" and _is_absolute(previous):
                yield str(step.argval).partition(".")[0]
            previous = [*previous[-1:], step]


def _is_absolute(previous: list[Any]) -> bool:
    """Whether the level of an import, which is put on the stack two steps before, is zero."""
    return len(previous) < 2 or previous[0].argval in {0, None}  # noqa: PLR2004 - level, and names


def _is_there(module: str) -> bool:
    try:
        return module in sys.modules or importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False
