"""Which lines a `with remotely(...)` is about, and that they do not run here."""

from __future__ import annotations

import ast
import sys
from textwrap import dedent

import pytest

from funcx_core.errors import UsageError
from funcx_jupyter import library, remotely, with_block
from funcx_jupyter.with_block import find_block


class FakeRun:
    """Stands for the run of a cell, and notes what it is asked for."""

    def __init__(self, value=None, outputs=None, error=None):
        self.value, self.outputs, self.error, self.texts = value, outputs or {}, error, []

    def __call__(self, text, options, variables):
        self.texts.append(text)
        self.options, self.variables = options, dict(variables)
        return self

    def run(self, variables, place, screen):
        if self.error:
            raise self.error
        variables.update(self.outputs)
        return self


@pytest.fixture
def run(monkeypatch):
    fake = FakeRun(value=42, outputs={"y": 7})
    monkeypatch.setattr(library, "run_of", fake)
    return fake


def block(source):
    source = dedent(source)
    (node,) = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.With))
    position = (node.lineno, node.end_lineno, node.col_offset, node.end_col_offset)
    return find_block(source, position)


def test_the_body_keeps_its_lines_and_texts_over_several_lines():
    found = block("""
        def f():
            with remotely("theta"):
                # a comment

                text = '''one
            two'''
                for n in range(3):
                    g(n)
            return 1
    """)
    assert (found.first, found.last) == (6, 9)
    assert found.body == "text = '''one\n    two'''\nfor n in range(3):\n    g(n)\n"


def test_decorators_belong_to_the_body():
    assert block("with remotely():\n    @remote\n    def f(): ...\n").body == "@remote\ndef f(): ...\n"


@pytest.mark.parametrize("source", ["with remotely(): f()", "with remotely(), open(p) as file:\n    f()"])
def test_what_cannot_be_skipped_is_refused(source):
    with pytest.raises(UsageError, match="stands alone on its line"):
        block(source)


def test_the_body_does_not_run_here(run):
    n, ran = 3, []
    with remotely("theta", outputs=["y"], timeout=5) as there:
        ran.append(n)
        raise AssertionError
    assert (ran, there.value, there.outputs) == ([], 42, {"y": 7})
    assert (run.options.endpoint, run.options.walltime, run.variables["n"]) == ("theta", 5, 3)
    (text,) = run.texts
    assert text.body == "ran.append(n)\nraise AssertionError\n"
    assert text.filename == __file__
    assert sys.gettrace() is not with_block._trace_nothing


def test_outputs_become_variables_of_a_module(run, tmp_path):
    path = tmp_path / "script.py"
    path.write_text("for n in range(2):\n    with remotely(\n        outputs=['y']\n    ):\n        y = n\n")
    module = {"remotely": remotely}
    exec(compile(path.read_text(), str(path), "exec"), module)
    assert module["y"] == 7
    assert [text.first_line for text in run.texts] == [5, 5]


def test_what_the_body_raised_there_is_raised_here(run):
    run.error = KeyError("missing")

    def enter():
        with remotely():
            raise AssertionError

    with pytest.raises(KeyError, match="missing") as caught:
        enter()
    assert caught.value.__suppress_context__


def test_a_tracer_is_put_back(run):
    seen = []

    def tracer(frame, event, argument):
        seen.append(event)

    before = sys.gettrace()
    sys.settrace(tracer)
    try:
        with remotely():
            raise AssertionError
        assert sys.gettrace() is tracer
    finally:
        sys.settrace(before)
    assert run.texts


def test_a_body_without_source_is_refused():
    with pytest.raises(UsageError, match="The source of <nowhere> cannot be had"):
        exec(compile("with remotely():\n    f()\n", "<nowhere>", "exec"), {"remotely": remotely})
