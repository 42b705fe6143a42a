"""What a cell reads before it has assigned it. Each row: the cell, its required inputs, its optional ones."""

from __future__ import annotations

import ast
import builtins

import pytest

from funcx_jupyter.capture.names import analyse

_BUILTINS = set(dir(builtins))

CASES = [
    # reading and writing
    ("x", "x", ""),
    ("x = 1\nx", "", ""),
    ("x = x + 1", "x", ""),
    ("x += 1", "x", ""),
    ("x: int = y", "y", ""),
    ("x: T", "T", ""),
    ("x[0] = 1", "x", ""),
    ("x.a = y.b.c", "x y", ""),
    ("a = b = c", "c", ""),
    ("(a, *b), c = d", "d", ""),
    ("del x", "x", ""),
    ("x = 1\ndel x\nx", "", "x"),
    ("x = 1\nx += y", "y", ""),
    ("print(f'{x!r:>{w}}')", "x w", ""),
    ("(y := x)\ny", "x", ""),
    ("a and (b := c)\nb", "a c", "b"),
    ("1 if a else (b := 2)\nb", "a", "b"),
    ("x = len(y)", "y", ""),
    ("await f(x)", "f x", ""),
    ("display(x)", "x", ""),
    # names that come from modules
    ("import numpy as np\nnp.mean(x)", "x", ""),
    ("import os.path\nos", "", ""),
    ("from m import a as b\nb, a", "a", ""),
    ("from m import *\nanything", "", "anything"),
    ("np.mean(x)", "np x", ""),
    # branches and loops
    ("if c:\n  x = 1\nx", "c", "x"),
    ("if c:\n  x = 1\nelse:\n  x = 2\nx", "c", ""),
    ("if c:\n  x = 1\nelse:\n  raise ValueError\nx", "c", ""),
    ("for i in xs:\n  y = i\ny", "xs", "y"),
    ("for i in xs:\n  t = prev + i\n  prev = t", "xs prev", ""),
    ("for i in xs:\n  pass\nelse:\n  y = 1\ny", "xs", ""),
    ("for i in xs:\n  if i: break\nelse:\n  y = 1\ny", "xs", "y"),
    ("while True:\n  y = 1\n  if y: break\ny", "", ""),
    ("while c:\n  y = 1\ny", "c", "y"),
    ("async for i in xs:\n  i", "xs", ""),
    # try, with, match
    ("try:\n  x = f()\nexcept OSError:\n  x = 1\nx", "f", ""),
    ("try:\n  x = f()\nexcept OSError:\n  pass\nx", "f", "x"),
    ("try:\n  x = 1\nfinally:\n  y = 1\nx, y", "", ""),
    ("try:\n  f()\nexcept E as e:\n  e\ne", "f E", "e"),
    ("try:\n  x\nexcept NameError:\n  x = 1", "", "x"),
    ("try:\n  f()\nexcept E:\n  raise\nelse:\n  y = 1\ny", "f E", ""),
    ("with open(p) as h, q as (a, b):\n  h, a, b", "p q", ""),
    ("with suppress(E):\n  y = f()\ny", "suppress E f", "y"),
    ("match v:\n  case [a, *r] | {'k': a, **r}:\n    a, r", "v", ""),
    ("match v:\n  case P(x=a) if a > lim:\n    y = a\n  case _:\n    y = 0\ny", "v P lim", ""),
    ("match v:\n  case 1:\n    y = 1\ny", "v", "y"),
    # comprehensions
    ("[i * k for i in range(3)]", "k", ""),
    ("{i: j for i in xs for j in i if j in ok}", "xs ok", ""),
    ("[i for i in i]", "i", ""),
    ("[(last := i) for i in xs]\nlast", "xs", "last"),
    ("i = 1\n[i for i in xs]\ni", "xs", ""),
    # functions
    ("def f(a, *b, c=1, **d):\n  return a, b, c, d, e", "e", ""),
    ("def f(a=x) -> R:\n  pass", "x R", ""),
    ("@deco\ndef f(): return y", "deco y", ""),
    ("def f(): return y\ny = 1\nf()", "", ""),
    ("def f(): return y\nf()\ny = 1", "", "y"),
    ("def f(): return g()\ndef g(): return x", "x", ""),
    ("def f(): return f()", "", ""),
    ("def f():\n  global n\n  n = 1\nf()\nn", "", "n"),
    ("def f():\n  x = 1\n  def g():\n    nonlocal x\n    x += y\n  return g", "y", ""),
    ("def f():\n  import m\n  for i in xs:\n    try: m\n    except E as e: e", "xs E", ""),
    ("def f():\n  x = 1\n  return [x + i + k for i in ()]", "k", ""),
    ("async def f():\n  async with a as b:\n    return b", "a", ""),
    ("sorted(xs, key=lambda t: t + off)", "xs off", ""),
    ("g = lambda a=b: later\nlater = 1\ng()", "b", "later"),
    ("[(lambda: i + k)() for i in xs]", "xs k", ""),
    # classes
    ("class A(B, metaclass=M):\n  x = y\n  z = x", "B M y", ""),
    ("class A:\n  x = 1\n  def m(self): return x, A", "x", ""),
    ("class A:\n  xs = [1]\n  ys = [i for i in xs]\n  zs = [xs for i in ys]", "xs", ""),
    ("class A:\n  def m(self, d=dd): return q", "dd q", ""),
    ("@dataclass\nclass P:\n  a: int\n  b: T = t", "dataclass T t", ""),
    (
        "class A:\n  class B:\n    v = w\n  def m(self):\n    class C:\n      u = self\n      t = s\n    return C",
        "w s",
        "",
    ),
    # what nobody can know
    ("exec(code)\nmade", "code", "made"),
    ("globals()['x'] = 1\nx", "", "x"),
    ("from __future__ import annotations\ndef f(x: Q) -> R: return z\ny: S = 1", "z", ""),
]


@pytest.mark.parametrize(("source", "required", "optional"), CASES)
def test_inputs(source, required, optional):
    names = analyse(ast.parse(source))
    found = [use for use in names.inputs if use.name not in _BUILTINS | {"display"}]
    assert {use.name for use in found if use.required} == set(required.split())
    assert {use.name for use in found if not use.required} == set(optional.split())


@pytest.mark.parametrize(
    ("source", "assigned"),
    [
        ("x = 1\ny = 2", "x y"),
        ("for i in xs:\n  y = i", "i y"),
        ("def f(): z = 1\nclass A: q = 1", "f A"),
        ("x = 1\ndel x", ""),
        ("import a.b, c as d", "a d"),
        ("[i for i in xs]", ""),
        ("with a as b:\n  pass", "b"),
    ],
)
def test_assigned_names_are_those_of_the_top_level(source, assigned):
    assert list(analyse(ast.parse(source)).assigned) == assigned.split()


def test_the_line_is_that_of_the_first_use():
    names = analyse(ast.parse("\n\na = 1\nprint(b)\ndef f():\n  return c\nb, c"))
    assert (names.line_of("b"), names.line_of("c"), names.line_of("a")) == (4, 6, None)


def test_annotations_are_not_read_after_a_cell_that_puts_them_off():
    tree = ast.parse("def f(x: Q): return z")
    assert {use.name for use in analyse(tree, annotates_later=True).inputs} == {"z"}
