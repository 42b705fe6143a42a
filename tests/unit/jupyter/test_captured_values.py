from __future__ import annotations

import ast
import threading

import pytest

from funcx_core.cells.spec import ModuleAlias
from funcx_jupyter.capture.names import analyse
from funcx_jupyter.capture.values import Kind, Notebook, choose_inputs, pack
from funcx_jupyter.errors import CaptureError


def chosen(source, namespace, *, listed=None, exclude=(), hidden=None):
    notebook = Notebook(namespace, hidden)
    uses = choose_inputs(analyse(ast.parse(source)), notebook, listed=listed, exclude=exclude)
    return [use.name for use in uses]


def packed(source, namespace, **options):
    notebook = Notebook(namespace)
    uses = choose_inputs(analyse(ast.parse(source)), notebook, listed=None, exclude=options.get("exclude", ()))
    return pack(uses, notebook, exclude=options.get("exclude", ()))


def test_names_that_the_notebook_has_are_chosen():
    assert chosen("x + len(y)", {"x": 1, "y": [], "z": 2}) == ["x", "y"]


def test_an_optional_name_that_is_not_there_is_no_error():
    assert chosen("if c:\n  x = 1\nx", {"c": 1}) == ["c"]


def test_a_builtin_that_the_user_replaced_is_chosen():
    assert chosen("len(y)", {"len": id, "y": 1}) == ["len", "y"]


def test_what_the_shell_put_there_is_not_the_users():
    shells_open = object()
    namespace = {"open": shells_open, "In": [], "get_ipython": print}
    assert chosen("open(p), get_ipython()", {**namespace, "p": 1}, hidden={"open": shells_open}) == ["p"]


def test_the_last_result_goes_along_by_its_short_name():
    shell = {"_": 42, "__": ""}
    assert chosen("_ + 1", dict(shell), hidden=shell) == ["_"]
    assert chosen("for _ in range(3): pass", dict(shell), hidden=shell) == []
    with pytest.raises(CaptureError, match="`__`"):
        chosen("__", dict(shell), hidden=shell)
    assert Notebook(dict(shell), shell).own_names() == set()


def test_listed_names_replace_the_search():
    assert chosen("x + y", {"x": 1, "y": 2, "z": 3}, listed=("z",)) == ["z"]
    assert chosen("x + y", {}, listed=()) == []


def test_excluded_names_are_left_out_and_not_missed():
    assert chosen("x + y", {"x": 1}, exclude=("y",)) == ["x"]


def test_a_missing_name_is_named_with_its_line_and_the_nearest():
    with pytest.raises(CaptureError) as caught:
        chosen("1\nfoo", {"fo": 1})
    assert str(caught.value) == "`foo` (line 2) is not defined here and not assigned in the cell. Did you mean `fo`?"


def test_a_missing_listed_name():
    with pytest.raises(CaptureError, match=r"`q` \(named with -i\) is not defined here"):
        chosen("1", {}, listed=("q",))


def test_modules_are_imported_again_and_values_packed():
    captured = packed("ast.parse(x)", {"ast": ast, "x": "1"})
    assert captured.modules == [ModuleAlias("ast", "ast")]
    assert [(value.name, value.kind) for value in captured.values] == [("x", Kind.VALUE)]


def test_what_a_function_uses_goes_with_it():
    namespace = {"__name__": "__main__"}
    exec("k = 1\nimport ast\ndef g(): return k, ast\ndef f(): return g(), unknown", namespace)
    captured = packed("f()", namespace)
    assert captured.names == ["f", "g", "k"]
    assert captured.modules == [ModuleAlias("ast", "ast")]


def test_an_attribute_with_the_name_of_a_variable_is_not_that_variable():
    namespace = {"__name__": "__main__", "data": b"x" * 1000}
    exec("def f(r): return r.data", namespace)
    assert packed("f(1)", namespace).names == ["f"]


def test_what_cannot_be_sent_is_named_down_to_the_part():
    class Model:
        pass

    model = Model()
    model.session = [threading.Lock()]
    with pytest.raises(CaptureError) as caught:
        packed("1\n2\nmodel", {"model": model})
    assert str(caught.value) == (
        f"`model` ({Model.__module__}.{Model.__qualname__}) cannot be sent because of `model.session[0]` (_thread.lock). "
        "It is used on line 3. Create it inside the cell, or exclude it with -x model."
    )


def test_what_a_function_needs_and_cannot_be_sent_names_the_function():
    namespace = {"__name__": "__main__", "lock": threading.Lock()}
    exec("def f(): return lock", namespace)
    with pytest.raises(CaptureError, match=r"`lock` \(_thread.lock\) cannot be sent. f\(\) uses it."):
        packed("f()", namespace)
    assert packed("f()", namespace, exclude=("lock",)).names == ["f"]
