"""Functions and values such as people send: each is packed here, run in a clean interpreter, and its result comes back.

`FUNCTIONS` are calls with their results; `VALUES` go there and back unchanged. `source` says that the function must travel as
source, and so runs under any Python version.
"""

from __future__ import annotations

import abc
import asyncio
import collections
import dataclasses
import datetime as dt
import decimal
import enum
import fractions
import functools
import linecache
import math
import pathlib
import types
import typing
import uuid
import zoneinfo
from typing import Any, NamedTuple

FACTOR = 3


class FunctionCase(NamedTuple):
    """A call: what it is, the function, its arguments, its result, and whether the function travels as source."""

    name: str
    function: Any
    args: tuple
    result: Any
    source: bool = False


# --- functions -------------------------------------------------------------------------------------------------------


def plain(x, y=2, *rest, z=1, **more):
    """Text."""
    return x + y + z + len(rest) + len(more)


def keyword_only(x, *, scale=2, offset=(0, 1)):
    return x * scale + offset[1]


def positional_only(x, /, y):
    return x - y


def imports_inside(x):
    import math

    return math.sqrt(x)


def forward(x: NotThere, y: list[AlsoNot] = ()) -> Nowhere:  # noqa: F821
    return [x, *y]


def recursive(n):
    return 1 if n < 2 else n * recursive(n - 1)


def is_even(n):
    return n == 0 or is_odd(n - 1)


def is_odd(n):
    return n != 0 and is_even(n - 1)


def with_nested(x):
    def inner(y):
        return [y * n for n in range(x)]

    class Local:
        value = inner(2)

    return Local.value


def generates(n):
    yield from range(n)


def uses_generator(n):
    return [*generates(n)]


def makes_generator(n):
    return [*(i * i for i in range(n) if i % 2)]


async def asynchronous(x):
    await asyncio.sleep(0)
    return x + 1


def runs_coroutine(x):
    return asyncio.run(asynchronous(x))


def matches(value):
    match value:
        case {"kind": "a", "n": n}:
            return n
        case [first, *_]:
            return first
        case _:
            return None


def walrus_and_f_strings(values):
    return [f"{double!r:>4}" for value in values if (double := value * 2) > 2]


def uses_module(x):
    return math.floor(x) * FACTOR


def decorate(function):
    @functools.wraps(function)
    def wrapper(*args):
        return function(*args) * 10

    return wrapper


@decorate
def decorated(x):
    return x + 1


@functools.lru_cache(maxsize=8)
def cached(x):
    return x * 2


def closure(n):
    total = [n]

    def add(x):
        total[0] += x
        return total[0]

    return add


def raises_and_catches(x):
    try:
        raise CustomError(x, reason="because")
    except CustomError as error:
        return error.reason, error.args


def from_a_notebook():
    text = "\n\ndef from_cell(x):\n    return x * 2\n"
    name = "<ipython-input-3-corpus>"
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    return _executed(text, name, "from_cell")


def without_source():
    return _executed("def no_source(x):\n    return x * FACTOR", "<string>", "no_source", FACTOR=FACTOR)


def of_a_local_module():
    module = types.ModuleType("corpus_of_nobody")
    module.__file__ = "/nowhere/corpus_of_nobody.py"
    exec("K = 5\ndef helper(x):\n    return x * K\ndef of_module(x):\n    return helper(x) + 1", module.__dict__)
    import sys

    sys.modules["corpus_of_nobody"] = module
    return module.of_module


def _executed(text, file, name, **names):
    namespace = {"__name__": "__main__", **names}
    exec(compile(text, file, "exec"), namespace)
    return namespace[name]


# --- classes ---------------------------------------------------------------------------------------------------------


class CustomError(Exception):
    def __init__(self, value, *, reason):
        super().__init__(value)
        self.reason = reason

    def __reduce__(self):
        return functools.partial(type(self), reason=self.reason), self.args


class Model:
    scale = 2

    def __init__(self, n):
        self.n = n

    def method(self, x):
        return self.n * self.scale + x

    @property
    def half(self):
        return self.n / 2

    @staticmethod
    def static(x):
        return x + 1

    @classmethod
    def of_class(cls, x):
        return cls(x).half

    def __call__(self, x):
        return self.n * x

    def __eq__(self, other):
        return type(other) is type(self) and other.n == self.n

    __hash__ = None


class Derived(Model):
    def method(self, x):
        return super().method(x) + 100


@dataclasses.dataclass(order=True)
class Particle:
    mass: float
    position: tuple[float, ...] = (0.0, 0.0)
    tags: list[str] = dataclasses.field(default_factory=list)

    def heavier(self, by):
        return dataclasses.replace(self, mass=self.mass + by)


@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    a: int
    b: str = "b"


class Slots:
    __slots__ = ("x", "y")

    def __init__(self, x, y):
        self.x, self.y = x, y

    def __eq__(self, other):
        return (self.x, self.y) == (other.x, other.y)

    __hash__ = None


class Colour(enum.Enum):
    RED = 1
    GREEN = "g"

    def next(self):
        return Colour.GREEN if self is Colour.RED else Colour.RED


class Flags(enum.IntFlag):
    A = 1
    B = 2


class Point(NamedTuple):
    x: int
    y: int = 0

    def flipped(self):
        return Point(self.y, self.x)


class Registered(type):
    def __new__(mcs, name, bases, namespace):
        made = super().__new__(mcs, name, bases, namespace)
        made.registered = name.lower()
        return made


class WithMetaclass(metaclass=Registered):
    def who(self):
        return type(self).registered


class Shape(abc.ABC):
    @abc.abstractmethod
    def area(self): ...


class Square(Shape):
    def __init__(self, side):
        self.side = side

    def area(self):
        return self.side**2


def makes_a_class(n):
    return Particle(n).heavier(1.0)


def returns_an_enum(colour):
    return colour.next()


def uses_classes(n):
    return [Derived(n).method(1), WithMetaclass().who(), Square(n).area(), Model(n).half]


FUNCTIONS = [
    FunctionCase("plain", plain, (1, 2, 3), 5, source=True),
    FunctionCase("default arguments", plain, (1,), 4, source=True),
    FunctionCase("keyword-only arguments", keyword_only, (3,), 7, source=True),
    FunctionCase("positional-only arguments", positional_only, (3, 1), 2, source=True),
    FunctionCase("import inside", imports_inside, (4,), 2.0, source=True),
    FunctionCase("forward references", forward, (1, (2,)), [1, 2], source=True),
    FunctionCase("recursion", recursive, (5,), 120, source=True),
    FunctionCase("nested function and class", with_nested, (3,), [0, 2, 4], source=True),
    FunctionCase("generator expression", makes_generator, (6,), [1, 9, 25], source=True),
    FunctionCase("match statement", matches, ({"kind": "a", "n": 7},), 7, source=True),
    FunctionCase("walrus and f-strings", walrus_and_f_strings, ([1, 2],), ["   4"], source=True),
    FunctionCase("notebook cell", from_a_notebook(), (4,), 8, source=True),
    FunctionCase("mutual recursion", is_even, (10,), True),
    FunctionCase("generator", uses_generator, (3,), [0, 1, 2]),
    FunctionCase("async def", runs_coroutine, (1,), 2),
    FunctionCase("global and module", uses_module, (4.5,), 12),
    FunctionCase("lambda", lambda x, y=FACTOR: x + y, (1,), 4),
    FunctionCase("closure", closure(5), (1,), 6),
    FunctionCase("decorated with wraps", decorated, (1,), 20),
    FunctionCase("lru_cache", cached, (4,), 8),
    FunctionCase("partial", functools.partial(plain, 1, z=5), (1,), 7),
    FunctionCase("partial of a lambda", functools.partial(lambda x, y: x - y, 10), (3,), 7),
    FunctionCase("exec without source", without_source(), (2,), 6),
    FunctionCase("local module", of_a_local_module(), (2,), 11),
    FunctionCase("method", Model(2).method, (1,), 5),
    FunctionCase("inherited method", Derived(2).method, (1,), 105),
    FunctionCase("static method", Model.static, (1,), 2),
    FunctionCase("class method", Model.of_class, (8,), 4.0),
    FunctionCase("callable object", Model(3), (4,), 12),
    FunctionCase("class", Point, (1, 2), Point(1, 2)),
    FunctionCase("dataclass out", makes_a_class, (1.0,), Particle(2.0)),
    FunctionCase("enum in and out", returns_an_enum, (Colour.RED,), Colour.GREEN, source=True),
    FunctionCase("metaclass, abstract base, property", uses_classes, (2,), [105, "withmetaclass", 4, 1.0]),
    FunctionCase("exception with a constructor", raises_and_catches, (1,), ("because", (1,))),
    FunctionCase("builtin", sorted, ([3, 1],), [1, 3]),
    FunctionCase("function of the standard library", math.hypot, (3, 4), 5.0),
]

# --- values ----------------------------------------------------------------------------------------------------------


def _deep(levels):
    value: Any = []
    for _ in range(levels):
        value = [value]
    return value


VALUES: dict[str, Any] = {
    "nothing": None,
    "big integers": [2**4000, -(2**4000)],
    "floats": [0.1, -0.0, math.inf, 5e-324],
    "not a number": math.nan,
    "complex": 1 + 2j,
    "text": "ü∂𝄞\x00\ud800",
    "bytes": [b"\x00\xff", bytearray(b"x")],
    "sets": [{1, "a", None}, frozenset([(1, 2)])],
    "deep nesting": _deep(200),
    "shared": [[1]] * 2,
    "decimal and fraction": [decimal.Decimal("1.10"), fractions.Fraction(-1, 3)],
    "dates": [dt.date(2020, 1, 2), dt.timedelta(days=-1, microseconds=1)],
    "datetime with a zone": dt.datetime(2020, 7, 1, 12, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin")),
    "paths": [pathlib.Path("/a/b"), pathlib.PureWindowsPath("c:/x")],
    "uuid": uuid.UUID(int=5),
    "collections": [collections.OrderedDict(a=1), collections.Counter("aab"), collections.deque([1, 2], 3)],
    "default dict": collections.defaultdict(list, a=[1]),
    "namespace": types.SimpleNamespace(a=1, b=[2]),
    "range and slice": [range(3, 9, 2), slice(None, 3)],
    "named tuple": Point(1, 2),
    "dataclass": Particle(1.0, tags=["x"]),
    "frozen dataclass with slots": Frozen(1),
    "slots": Slots(1, [2]),
    "enum and flag": [Colour.GREEN, Flags.A | Flags.B],
    "object": Model(4),
    "types": [int, Point, list[int], typing.Any],
}


def _with_numpy() -> dict[str, Any]:
    import numpy as np

    return {
        "array": np.arange(6.0).reshape(2, 3),
        "fortran array": np.asfortranarray(np.arange(6).reshape(2, 3)),
        "big-endian array": np.arange(3, dtype=">i4"),
        "structured array": np.array([(1, "ab", 2.5)], [("n", "i2"), ("s", "U4"), ("x", ">f8")]),
        "zero-dimensional array": np.array(5),
        "empty array": np.zeros((0, 4)),
        "strided array": np.arange(10)[::3],
        "datetime array": np.array(["2020-01-01", "NaT"], "M8[ms]"),
        "object array": np.array([1, "a", None], object),
        "numpy scalars": [np.float32(1.5), np.int64(3), np.bool_(True)],
        "masked array": np.ma.array([1, 2], mask=[False, True]),
    }


def _with_pandas() -> dict[str, Any]:
    import pandas as pd

    frame = pd.DataFrame(
        {
            "n": [1, 2, 3],
            "c": pd.Categorical(["a", "b", "a"], categories=["b", "a"], ordered=True),
            "t": pd.date_range("2020-01-01", periods=3, tz="Europe/Berlin"),
            "s": ["x", None, "z"],
        }
    )
    return {
        "frame": frame,
        "frame with a multi-index": frame.set_index(["n", "c"]),
        "series": pd.Series([1.5, None], index=["a", "b"], name="v"),
        "nullable integers": pd.Series([1, None], dtype="Int64"),
        "intervals and periods": pd.DataFrame(
            {"i": pd.interval_range(0, 2), "p": pd.period_range("2020-01", periods=2, freq="M")}
        ),
    }


VALUES |= _with_numpy() | _with_pandas()


def same(found: Any, expected: Any) -> bool:
    """Whether a value came back as it was: type, content, and for arrays and frames their types, too."""
    if type(found) is not type(expected):
        return False
    if type(expected).__module__.startswith("pandas"):
        return bool(found.equals(expected)) and str(getattr(found, "dtypes", "")) == str(
            getattr(expected, "dtypes", "")
        )
    if type(expected).__module__.startswith("numpy"):
        return repr(found) == repr(expected) and found.dtype == expected.dtype
    if isinstance(expected, float) and math.isnan(expected):
        return math.isnan(found)
    if isinstance(expected, (list, tuple)) and expected and type(expected[0]).__module__.startswith("numpy"):
        return len(found) == len(expected) and all(map(same, found, expected))
    return bool(found == expected)
