"""Functions and classes of a notebook on their way to another namespace and back."""

from __future__ import annotations

import functools
import itertools
import sys
import types

import pytest

from funcx_core.cells import rebuild
from funcx_core.cells.pickling import CellPickler
from funcx_core.cells.rebuild import Arrivals, load_values
from funcx_core.cells.sources import remember_text
from funcx_core.errors import DeserializationError

_numbers = itertools.count()


@pytest.fixture
def home(monkeypatch):
    """A notebook: a namespace that is `__main__`, and a way to run cells in it."""
    module = types.ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", module)
    return module


def run_cell(module, source, *, text=""):
    filename = f"/tmp/cells/{next(_numbers)}.py"
    remember_text(filename, text or source)
    exec(compile(source, filename, "exec"), module.__dict__)
    return module.__dict__


def send(home, *names):
    """Return a fresh namespace with these names of `home` and all that they need, as the notebook sends them."""
    pickler = CellPickler(Arrivals(home.__dict__))
    sent = list(names)
    for name in sent:
        pickler.add(home.__dict__[name])
        sent += [need for need in pickler.needed if need in home.__dict__ and need not in sent]
    away = types.ModuleType("__main__")
    arrivals = Arrivals(away.__dict__)
    sys.modules["__main__"] = away
    for name, value in load_values(pickler.getvalue(), sent, arrivals):
        away.__dict__[name] = value
    return away, arrivals


def send_back(away, arrivals, home, name):
    pickler = CellPickler(arrivals)
    pickler.add(away.__dict__[name])
    sys.modules["__main__"] = home
    return next(load_values(pickler.getvalue(), [name], Arrivals(home.__dict__)))[1]


CELLS = [
    (
        "from typing import *\nT = TypeVar('T')\nclass Box(Generic[T]):\n  def __init__(self, v: T): self.v = v\nbox = Box[int](5)\ndef f(x: Box[T]) -> T: return x.v, box",
        "f(box) == (5, box) and isinstance(box, Box) and Box.__parameters__ == (T,)",
    ),
    ("from typing import NewType\nUser = NewType('User', int)\ndef f(u: User): return User(u)", "f(3) == 3"),
    (
        "import functools\n@functools.singledispatch\ndef kind(x): return 'any'\n@kind.register\ndef _(x: int): return 'int'\ndef f(x): return kind(x)",
        "(f(1), f('x'), kind.dispatch(bool)(True)) == ('int', 'any', 'int')",
    ),
    (
        "from __future__ import annotations\nfrom dataclasses import dataclass\n@dataclass\nclass A:\n  a: Missing = 4\ndef f(x): return A(x)",
        "f(4).a == 4",
    ),
    ("def f(x): return x + 1", "f(1) == 2"),
    ("k = 3\ndef f(x): return x * k", "f(2) == 6"),
    ("def g(x): return -x\ndef f(x): return g(x)", "f(1) == -1"),
    ("def even(n): return n == 0 or odd(n - 1)\ndef odd(n): return n != 0 and even(n - 1)\nf = even", "f(4)"),
    ("def make(n):\n  def f(x): return x + n\n  return f\nf = make(5)", "f(1) == 6"),
    ("def make():\n  def f(n): return 1 if n == 0 else n * f(n - 1)\n  return f\nf = make()", "f(4) == 24"),
    ("f = lambda x, y=2: x ** y", "f(3) == 9"),
    ("n = 0\ndef f():\n  global n\n  n += 1\n  return n", "f() and f() == 2 and n == 2"),
    (
        "def f(a, /, b=1, *c, d=2, **e) -> int:\n  'doc'\n  return a",
        "f.__doc__ == 'doc' and f.__kwdefaults__ == {'d': 2}",
    ),
    (
        "import functools\n@functools.lru_cache(maxsize=7)\ndef f(x): return x",
        "f(1) == 1 and f.cache_info().maxsize == 7",
    ),
    (
        "import functools\ndef deco(g):\n  @functools.wraps(g)\n  def w(*a): return g(*a) + 1\n  return w\n@deco\ndef f(x): return x",
        "f(1) == 2 and f.__name__ == 'f'",
    ),
    ("import functools, operator\nf = functools.partial(operator.add, 1)", "f(2) == 3"),
    ("import math as m\ndef f(x): return m.sqrt(x)\nm_ = m", "f(4) == 2"),
    ("async def f(): return 1", "f.__code__.co_flags & 128"),
    (
        "class f:\n  def __init__(self, x): self.x = x\n  def double(self): return helper(self.x)\ndef helper(x): return 2 * x",
        "f(2).double() == 4",
    ),
    (
        "from dataclasses import dataclass, field\n@dataclass\nclass f:\n  a: int\n  b: list = field(default_factory=list)",
        "f(1).b == [] and f(1) == f(1)",
    ),
    ("import enum\nclass f(enum.Enum):\n  RED = 1\n  BLUE = 2", "f.RED.value == 1 and list(f) == [f.RED, f.BLUE]"),
    ("from typing import NamedTuple\nclass f(NamedTuple):\n  x: int = 4", "f().x == 4"),
    ("from collections import namedtuple\nf = namedtuple('f', 'x y')", "f(1, 2).y == 2"),
    (
        "class Base:\n  def hi(self): return 'base'\nclass f(Base):\n  def hi(self): return super().hi() + '!'",
        "f().hi() == 'base!'",
    ),
    ("class f:\n  rate = 1\nf.rate = 5", "f.rate == 5"),
    ("class f:\n  __slots__ = ('a',)\n  def __init__(self): self.a = 1", "f().a == 1"),
    ("class f:\n  class Inner:\n    v = 3", "f.Inner.v == 3"),
    ("class P:\n  def __init__(self): self.x = 1\nf = [P(), {'p': P()}]", "f[0].x == f[1]['p'].x == 1"),
    ("N = 3\nclass f:\n  size = N * 2\n  def m(self, d=N): return d", "f.size == 6 and f().m() == 3"),
]


@pytest.mark.parametrize(("cell", "check"), CELLS)
def test_code_does_the_same_elsewhere(home, cell, check):
    run_cell(home, cell)
    away, _ = send(home, "f")
    assert eval(check, away.__dict__)


def test_nothing_is_left_to_the_name_of_a_module(home):
    """The receiver's `__main__` need not have anything."""
    run_cell(home, "def f(): return 1")
    assert send(home, "f")[0].__dict__["f"].__globals__ is not home.__dict__


def test_a_value_and_a_function_may_share_an_object(home):
    run_cell(home, "log = []\ndef f(): log.append(1)")
    away, _ = send(home, "log", "f")
    away.f()
    assert away.log == [1]


def test_instances_come_home_as_instances_of_the_class_that_is_there(home):
    run_cell(home, "class P:\n  def __init__(self, x): self.x = x\np = P(1)")
    away, arrivals = send(home, "p")
    away.__dict__["q"] = [away.p, type(away.p)(2)]
    back = send_back(away, arrivals, home, "q")
    assert [type(item) for item in back] == [home.P, home.P]
    assert [item.x for item in back] == [1, 2]


def test_a_function_comes_home_as_the_one_that_is_there(home):
    run_cell(home, "def f(): return 1")
    away, arrivals = send(home, "f")
    assert send_back(away, arrivals, home, "f") is home.f


def test_what_was_defined_elsewhere_comes_home_by_value(home):
    run_cell(home, "k = 2")
    away, arrivals = send(home, "k")
    run_cell(away, "class New:\n  def m(self): return k\nnew = New()")
    assert send_back(away, arrivals, home, "new").m() == 2
    assert "New" not in home.__dict__  # Nothing is assigned that was not asked for.


def test_another_python_compiles_the_text(home, monkeypatch):
    run_cell(home, "k = 3\ndef make(n):\n  return lambda x: x + n + k\nf = make(1)")
    monkeypatch.setattr(rebuild, "MAGIC_NUMBER", b"another")
    away, _ = send(home, "f")
    assert away.f(1) == 5


def test_another_python_without_the_text_says_so(home, monkeypatch):
    exec("def f(): return 1", home.__dict__)
    monkeypatch.setattr(rebuild, "MAGIC_NUMBER", b"another")
    with pytest.raises(DeserializationError, match=r"`f` cannot be loaded: .*defined under another version"):
        send(home, "f")


def test_what_stands_beside_magics_travels_as_text(home, monkeypatch):
    text = "%matplotlib inline\nfiles = !ls\nlen?\ndef f():\n  return '''\n%kept\n!kept'''\nif True:\n  !ls"
    run_cell(home, "pass\nfiles = None\npass\ndef f():\n  return '''\n%kept\n!kept'''", text=text)
    monkeypatch.setattr(rebuild, "MAGIC_NUMBER", b"another")
    away, _ = send(home, "f")
    assert away.f() == "\n%kept\n!kept"


def test_another_python_that_cannot_read_the_cell_says_so(home, monkeypatch):
    run_cell(home, "def f():\n  return 1", text="def f():\n  return 1\nx = y z")
    monkeypatch.setattr(rebuild, "MAGIC_NUMBER", b"another")
    with pytest.raises(
        DeserializationError, match=r"f\(\) is defined in a cell of which Python 3\.\d+ cannot read all"
    ):
        send(home, "f")


def test_lines_of_travelling_functions_are_those_of_their_cell(home):
    run_cell(home, "\n\ndef f():\n  1 / 0")
    away, _ = send(home, "f")
    with pytest.raises(ZeroDivisionError) as caught:
        away.f()
    frame = caught.traceback[-1]
    assert (frame.lineno + 1, str(frame.statement).strip()) == (4, "1 / 0")


def test_functions_of_installed_modules_go_by_name(home):
    pickler = CellPickler(Arrivals(home.__dict__))
    assert pickler.add(functools.reduce) < 60
    assert not pickler.needed


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("import functools\n@functools.singledispatch\ndef kind(x): return 'any'", "kind"),
        ("from typing import TypeVar\nT = TypeVar('T', bound=int)", "T"),
        ("from typing import NewType\nUser = NewType('User', int)", "User"),
    ],
)
def test_what_is_made_by_a_call_goes_home_by_name(home, source, name):
    mine = run_cell(home, source)[name]
    away, arrivals = send(home, name)
    assert away.__dict__[name] is not mine
    assert send_back(away, arrivals, home, name) is mine
