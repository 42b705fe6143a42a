r"""Functions as their source text: the form that loads in another Python version.

Source stands for a function only if it *is* the function: compiled and run in an empty namespace, it must give the same byte
code and the same defaults, and it may need no name that the function finds in its module. Otherwise (closures, decorators,
lambdas, notebook globals, an edited file) `standalone_source` returns None and the function goes by value.

The last line of a text that we write names the place it came from, as a comment, so that tracebacks on the worker point
to the user's file or notebook cell.
"""

from __future__ import annotations
import __future__

import builtins
import dis
import inspect
import json
import linecache
import textwrap
import types
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

from funcx_core.errors import DeserializationError

_PLACE: Final = "\n# place: "
_LAZY_ANNOTATIONS: Final = "from __future__ import annotations\n"
_LAZY_FLAG: Final = __future__.annotations.compiler_flag
_GIVEN: Final = frozenset({"__name__", "__builtins__", "__doc__", "__file__", "__spec__", "__loader__", "__package__"})
_GLOBAL_OPS: Final = frozenset({"LOAD_GLOBAL", "LOAD_NAME", "DELETE_GLOBAL", "LOAD_FROM_DICT_OR_GLOBALS"})
_SAME_FIELDS: Final = (
    "co_code",
    "co_names",
    "co_varnames",
    "co_freevars",
    "co_cellvars",
    "co_argcount",
    "co_posonlyargcount",
    "co_kwonlyargcount",
)


class FunctionSource(NamedTuple):
    """The name a text defines, and the text."""

    name: str
    text: str


def find_source(function: Any) -> FunctionSource:
    """Return the source text of a function, not indented.

    Raises:
        OSError: if there is none.
        TypeError: if it is not a Python function.
    """
    code = getattr(function, "__code__", None)
    if code is None:
        raise TypeError(f"{function!r} is not a Python function.")
    # By code and not by function: `inspect` would follow `__wrapped__` to another one.
    return FunctionSource(function.__name__, textwrap.dedent(inspect.getsource(code)))


def standalone_source(function: Any) -> FunctionSource | None:
    """Return a text that defines an equal function anywhere, or None if its source alone does not."""
    if not isinstance(function, types.FunctionType) or function.__closure__ or not function.__name__.isidentifier():
        return None
    if function.__dict__ or set(needed_globals(function)) - {function.__name__}:
        return None
    try:
        name, text = find_source(function)
    except (OSError, TypeError, SyntaxError, IndexError):
        return None
    for future in ("", _LAZY_ANNOTATIONS):  # Annotations may name what does not exist on the worker.
        if _defines(future + text, function) or _defines(future + text + _shadowed_imports(function), function):
            return FunctionSource(name, future + text + _place(function))
    return None


def needed_globals(function: types.FunctionType) -> dict[str, Any]:
    """Return the names that a function looks up in its module, with their present values; builtins are left out."""
    found = function.__globals__
    return {
        name: found[name]
        for name in _global_names(function.__code__)
        if name in found
        and name not in _GIVEN
        and not (hasattr(builtins, name) and found[name] is getattr(builtins, name))
    }


def load_source(name: str, text: str) -> Callable[..., Any]:
    """Return the function `name` that `text` defines; its tracebacks show the place the text came from.

    Raises:
        DeserializationError: if the text does not define it. What running the text raises passes through.
    """
    text, _, tail = text.partition(_PLACE)
    if text[:1] in {" ", "\t"}:
        text = textwrap.dedent(text)  # Release 0.0.3 sends a nested function as it stands in its file.
    file, line = _read_place(tail)
    lazy = text.startswith(_LAZY_ANNOTATIONS)
    body = text.removeprefix(_LAZY_ANNOTATIONS) if lazy else text
    file = file or f"<function {name}>"
    lines = "\n" * (line - 1) + body
    _show_in_tracebacks(file, lines)
    namespace: dict[str, Any] = {"__name__": "__main__", "__builtins__": builtins}
    try:
        code = compile(lines, file, "exec", flags=_LAZY_FLAG if lazy else 0, dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        raise DeserializationError(f"The source of function '{name}' does not compile here: {error}") from None
    exec(code, namespace)  # noqa: S102 - this is what a worker is for
    function = namespace.get(name)
    if not callable(function):
        raise DeserializationError(f"The source sent for function '{name}' does not define it.")
    return function  # type: ignore[no-any-return]


def _defines(text: str, function: types.FunctionType) -> bool:
    namespace: dict[str, Any] = {"__name__": "__main__", "__builtins__": builtins}
    try:
        module = compile(text, "<check>", "exec", dont_inherit=True)
        if not _is_one_definition(module):
            return False
        exec(module, namespace)  # noqa: S102 - one `def` with no decorator: runs only default values
    except Exception:  # noqa: BLE001 - whatever it is, the text does not stand alone
        return False
    made = namespace.get(function.__name__)
    return (
        isinstance(made, types.FunctionType)
        and _same_code(made.__code__, function.__code__)
        and _same_defaults(made, function)
    )


def _shadowed_imports(function: types.FunctionType) -> str:
    """Return what makes the compiler treat names as it did in a module that imports them too.

    CPython compiles ``math.sqrt(x)`` in another way if `math` is imported at the top of the module, even where it is a local name.
    """
    names = sorted(set(_local_names(function.__code__)) & set(function.__globals__))
    return f"\nif 0:\n    import {', '.join(names)}\n" if names else ""


def _local_names(code: types.CodeType) -> Iterator[str]:
    yield from code.co_varnames
    yield from code.co_cellvars
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _local_names(constant)


def _is_one_definition(module: types.CodeType) -> bool:
    """Whether the module only defines functions: a decorator would be called."""
    calls = {"CALL", "CALL_FUNCTION_EX", "CALL_KW"}
    return not any(step.opname in calls for step in dis.get_instructions(module))


def _same_defaults(made: types.FunctionType, function: types.FunctionType) -> bool:
    try:
        return repr((made.__defaults__, made.__kwdefaults__)) == repr((function.__defaults__, function.__kwdefaults__))
    except Exception:  # noqa: BLE001 - `repr` of a user's object
        return False


def _same_code(one: types.CodeType, other: types.CodeType) -> bool:
    mask = ~_LAZY_FLAG & ~inspect.CO_NESTED
    return (
        all(getattr(one, field) == getattr(other, field) for field in _SAME_FIELDS)
        and one.co_flags & mask == other.co_flags & mask
        and len(one.co_consts) == len(other.co_consts)
        and all(_same_constant(left, right) for left, right in zip(one.co_consts, other.co_consts, strict=True))
    )


def _same_constant(left: Any, right: Any) -> bool:
    if isinstance(left, types.CodeType) and isinstance(right, types.CodeType):
        return _same_code(left, right)
    if isinstance(left, str) and isinstance(right, str) and left != right:
        # Qualified names of nested functions differ by where the outer one was defined.
        return left.rpartition("<locals>.")[2] == right.rpartition("<locals>.")[2] and "<locals>" in left + right
    return type(left) is type(right) and repr(left) == repr(right)


def _global_names(code: types.CodeType) -> Iterator[str]:
    for step in dis.get_instructions(code):
        if step.opname in _GLOBAL_OPS:
            yield str(step.argval)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _global_names(constant)


def _place(function: types.FunctionType) -> str:
    code = function.__code__
    return _PLACE + json.dumps([code.co_filename, code.co_firstlineno]) + "\n"


def _read_place(tail: str) -> tuple[str, int]:
    try:
        file, line = json.loads(tail)
        return str(file), min(max(1, int(line)), 1_000_000)
    except (ValueError, TypeError):
        return "", 1


def _show_in_tracebacks(file: str, lines: str) -> None:
    """Let `traceback` find the text: the file is elsewhere, or changed since."""
    known: Any = linecache.cache.get(file)
    old: list[str] = known[2] if known is not None and len(known) > 1 else []
    new = lines.splitlines(keepends=True)
    # Several functions of one file each bring their own lines.
    merged = [line if line.strip() else (old[index] if index < len(old) else line) for index, line in enumerate(new)]
    merged.extend(old[len(new) :])
    if known is None or known[1] is None:
        linecache.cache[file] = (sum(map(len, merged)), None, merged, file)
