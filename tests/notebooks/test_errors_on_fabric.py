"""What a cell that fails on its endpoint looks like in a real kernel, and what can be asked of its exception."""

from __future__ import annotations

import pytest

from tests.notebooks.kernels import kernel

pytestmark = pytest.mark.xdist_group("fabric-kernel")


@pytest.fixture(scope="module")
def notebook(fabric):
    with kernel(fabric.environment()) as running:
        running.run("%load_ext funcx_jupyter")
        running.run("%%funcx\n1")
        yield running


def test_a_chain_of_exceptions_has_the_lines_of_each(notebook):
    first = notebook.run("def lookup(d):\n    return d['x']")
    cell = notebook.run("%%funcx\ntry:\n    lookup({})\nexcept KeyError as e:\n    raise ValueError('no x') from e")
    name, text = cell.error
    assert name == "ValueError"
    assert "----> 3     lookup({})" in text
    assert f"Cell In[{first.number}], line 2, in lookup" in text
    assert "KeyError: 'x'\n\nThe above exception was the direct cause of the following exception:\n" in text
    assert "----> 5     raise ValueError('no x') from e" in text
    context = notebook.run("%%funcx\ntry:\n    1/0\nexcept ZeroDivisionError:\n    int('z')").error[1]
    assert "ZeroDivisionError: division by zero\n\nDuring handling of the above exception, another" in context
    plain = notebook.run(
        "%%funcx\ntry:\n    1/0\nexcept ZeroDivisionError:\n    raise ValueError('v') from None"
    ).error[1]
    assert "division by zero" not in plain


def test_a_group_is_a_real_error_with_the_lines_of_its_members(notebook):
    body = "raise ExceptionGroup('many', found)"
    cell = notebook.run(
        f"%%funcx\nfound = []\nfor f in (lambda: 1/0, lambda: int('z')):\n    try: f()\n    except Exception as e: found.append(e)\n{body}"
    )
    name, text = cell.error
    assert name == "ExceptionGroup"
    assert f"----> 6 {body}" in text
    assert "  + 1 of 2:" in text
    assert "  | ZeroDivisionError: division by zero" in text
    assert "  | ValueError: invalid literal" in text
    assert notebook.run("%tb").error[0] == "ExceptionGroup"
    caught = notebook.run(
        "try:\n    get_ipython().run_cell_magic('funcx', '-q', 'raise ExceptionGroup(\"g\", [ValueError(1), OSError(2)])')\n"
        "except* ValueError as g:\n    print('values', len(g.exceptions))\nexcept* OSError as g:\n    print('os', len(g.exceptions))"
    )
    assert caught.text() == "values 1\nos 1\n"


def test_endless_recursion_is_told_in_few_lines(notebook):
    notebook.run(
        "def deep(n):\n    return deep(n + 1)\ndef ping(n):\n    return pong(n)\ndef pong(n):\n    return ping(n)"
    )
    name, text = notebook.run("%%funcx\ndeep(0)").error
    assert name == "RecursionError"
    assert "(deep() called itself 9" in text
    assert text.count("\n") < 20
    text = notebook.run("%%funcx\nping(0)").error[1]
    assert "frames between are not shown" in text
    assert text.count("\n") < 60


def test_a_class_of_the_notebook_with_a_lock_and_arguments_of_its_own(notebook):
    notebook.run(
        "import threading\nclass Odd(RuntimeError):\n    def __init__(self, a, *, b):\n"
        "        super().__init__(f'{a}-{b}')\n        self.a, self.lock = a, threading.Lock()"
    )
    cell = notebook.run(
        "try:\n    get_ipython().run_cell_magic('funcx', '-q', 'raise Odd(1, b=2)')\nexcept Odd as e:\n    found = e\n"
        "type(found) is Odd, found.a, str(found), found.funcx.endpoint, bool(found.funcx.host), found.funcx.memory_peak > 10**6"
    )
    assert cell.result["text/plain"] == "(True, 1, '1-2', 'local', True, True)"


def test_the_debugger_shows_the_variables_instead_of_frames_of_ours(notebook):
    notebook.run("%%funcx\nprint('half way')\ndef g(n, password):\n    m = n + 1\n    return m / 0\ng(4, 'geheim')")
    cell = notebook.run("%debug")
    assert cell.kinds == ["stdout"]
    assert "cannot be entered from here" in cell.text()
    assert "Variables of g():\n  n        = 4\n  password = <hidden>\n  m        = 5\n" in cell.text()
    assert notebook.run("import sys\nsys.last_value.funcx.stdout").result["text/plain"] == "'half way\\n'"
    notebook.run("def here():\n    1/0\nhere()")
    assert notebook.run("%debug").error[0] == "StdinNotImplementedError"  # IPython's own, for what failed here


def test_a_module_that_is_found_missing_late(notebook):
    text = notebook.run("%%funcx\ndef f():\n    import msgspecc\nf()").error[1]
    assert "`msgspecc` is not installed on local. Available: msgspec." in text


def test_what_cannot_be_done_there_is_said_in_one_line(notebook):
    assert "EOFError: input() cannot ask you from where this cell runs." in notebook.run("%%funcx\ninput('?')").error[1]
    said = "RemoteTaskError: The cell ended itself with sys.exit(3). Nothing was assigned."
    assert notebook.run("%%funcx\nimport sys\nsys.exit(3)").error == ("RemoteTaskError", said)
    assert notebook.run("%%funcx\nquit(3)").error == ("RemoteTaskError", said)


def test_what_ipython_shows_in_its_own_way_is_a_real_error(notebook):
    refused = "UsageError: Line magic function `%no_such_magic` not found."
    assert notebook.run("%%funcx\n%no_such_magic").error == ("UsageError", refused)
    name, text = notebook.run("%%funcx\ncompile('x = = 1', 'f', 'exec')").error
    assert name == "SyntaxError"
    assert "----> 2 compile(" in text


def test_notes_and_warnings_arrive(notebook):
    cell = notebook.run(
        "%%funcx\nimport warnings\nwarnings.warn('careful')\ne = ValueError('x')\ne.add_note('a note')\nraise e"
    )
    assert f"Cell In[{cell.number}], line 3: UserWarning: careful" in cell.text("stderr")
    assert "ValueError: x\na note\n" in cell.error[1]


def test_where_a_cell_comes_from_stays_with_its_task_also_if_it_fails(notebook):
    cell = notebook.run("import numpy as np\nx = 1")
    cell = notebook.run("%%funcx -n fine\nnp.random.seed(4)\nx + 1")
    page = next(output.data["text/html"] for output in cell.outputs if "data" in output)
    for said in ("<div>host: ", "numpy ", "<div>seed: np.random.seed(4)</div>", " · inputs "):
        assert said in page
    assert "where this comes from" not in cell.header
    notebook.run("%%funcx -n bad\nnp.random.seed(5)\nx / 0")
    for name, seed in (("fine", 4), ("bad", 5)):
        text = notebook.run(f"%funcx provenance {name}").result["text/plain"]
        assert f"seed       np.random.seed({seed})" in text
        assert "packages   numpy " in text
        assert "processor  " in text
