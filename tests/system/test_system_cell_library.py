"""`cell`, `on` and `remote` in scripts, which have no IPython."""

from __future__ import annotations

SCRIPT = """
import math, sys
from funcx_jupyter import cell, on, remote, remotely, start

base = 20


def twice(n):
    return 2 * n


@remote
def add(a, b=1):
    import os
    return a + b, os.getpid()


@remote("local", timeout=30)
def fail():
    return {}["missing"]


assert cell('''
    print("printed there")
    y = twice(base) + math.floor(1.5)
    y + 1
''', outputs=["y"]) == 42
assert y == 41
with on("local"):
    value, pid = add(1, b=2)
    assert add.local(1)[0] == 2
import os
assert (value, pid != os.getpid()) == (3, True)
assert add.submit(5).result()[0] == 6
task = start("base + 1", "local")
assert task.result(60) == 21 and task.done()
assert cell("half = n / 2\\ntwice(n)", "local", map={"n": range(4)}, outputs=["half"], chunk=2) == [0, 2, 4, 6]
assert half == [0, 0.5, 1, 1.5]
runs = start("1 / n", map={"n": [1, 0]})
try:
    runs.result(60)
except Exception as error:
    assert [(n, type(e)) for n, e in error.failed] == [(0, ZeroDivisionError)] and error.results == [1, None], error
else:
    raise AssertionError
with remotely("local", outputs=["there_pid"]) as there:
    there_pid = os.getpid()
    print("in a block")
    twice(base)
assert (there.value, there_pid != os.getpid()) == (40, True)


def far(x):
    with remotely() as there:
        import os
        os.getpid() / x


try:
    far(0)
except ZeroDivisionError as error:
    line = far.__code__.co_firstlineno + 3
    assert f"{__file__}', line {line}".replace("'", '"') in str(error.__cause__), error.__cause__
else:
    raise AssertionError
try:
    fail()
except KeyError as error:
    assert error.args == ("missing",)
else:
    raise AssertionError
try:
    cell("x = 1\\n1 / (x - 1)", quiet=False)
except ZeroDivisionError as error:
    assert "line 2" in str(error.__cause__), error.__cause__
    assert error.__notes__[-1].startswith("(local, ")
else:
    raise AssertionError
try:
    with on("nowhere"):
        cell("1")
except Exception as error:
    print(type(error).__name__, error)
assert not {"IPython", "ipywidgets", "traitlets"} & set(sys.modules)
print("all of it")
"""


def test_a_script_without_ipython(fabric):
    done = fabric.script(SCRIPT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "printed there",
        "in a block",
        "UnknownEndpoint No endpoint named 'nowhere'. Known: local.",
        "all of it",
    ]
    assert "local · ✗ failed after" in done.stderr
