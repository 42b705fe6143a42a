"""What goes home with an exception of a cell."""

from __future__ import annotations

import contextlib
import os
import signal
import time

import pytest

from funcx_core.cells.sources import remember_text
from funcx_endpoint.worker import circumstances
from funcx_endpoint.worker.questions import nobody_answers
from funcx_endpoint.worker.shown_locals import HIDDEN, LONGEST, failing_frame, shown_locals


def failing(source: str, **namespace):
    remember_text("<cell>", source)
    try:
        exec(compile(source, "<cell>", "exec"), namespace)
    except Exception as error:
        return error
    raise AssertionError("it did not raise")


def shown(source: str, **namespace):
    return shown_locals(failing_frame(failing(source, **namespace).__traceback__))


def test_variables_of_the_last_frame_of_the_notebook():
    found = shown("import json\ndef f(n, *rest):\n    def g(): pass\n    json.loads(n)\nf('{', 2)")
    assert found == {"n": "'{'", "rest": "(2,)"}


def test_variables_of_the_cell_are_those_that_it_names():
    assert shown("x = y + 1\nx / 0", y=2, unused=3) == {"x": "3", "y": "2"}


def test_what_names_a_secret_is_hidden():
    found = shown(
        "token = 'a'; db_password = 'b'; conf = {'api_key': 'c', 'user': 'd'}; env = e\n1 / 0 + n", n=1, e=os.environ
    )
    assert found == {
        "token": HIDDEN,
        "db_password": HIDDEN,
        "conf": f"{{'api_key': {HIDDEN}, 'user': 'd'}}",
        "env": "<os._Environ>",
        "e": "<os._Environ>",
        "n": "1",
    }


def test_large_values_are_cut():
    found = shown(
        "a = list(range(10**6)); b = 'x' * 10**6; c = {n: [[[[[1]]]]] for n in range(99)}; d = 10**5000; e = b'y' * 999\n1 / 0"
    )
    assert found["a"] == "[0, 1, 2, 3, 4, 5, 6, 7, ...]"
    assert found["d"] == "<int>"  # Python refuses to write it
    assert found["e"].endswith("... (999 bytes)")
    assert all(len(text) <= LONGEST + 1 for text in found.values())


def test_a_repr_that_raises_or_hangs_does_no_harm():
    class Raises:
        def __repr__(self):
            raise RuntimeError

    class Hangs:
        def __repr__(self):
            while True:
                with contextlib.suppress(Exception):
                    time.sleep(10)

    before, timer = signal.getsignal(signal.SIGALRM), signal.getitimer(signal.ITIMER_REAL)[0]
    found = shown("a, b, c\n1 / 0", a=Raises(), b=Hangs(), c=3)
    assert found["a"].endswith("Raises>")
    assert found["b"].endswith("Hangs>")
    assert found["c"] == "3"
    assert signal.getsignal(signal.SIGALRM) is before
    assert timer - 60 <= signal.getitimer(signal.ITIMER_REAL)[0] <= timer  # pytest's own


def test_facts_are_told_once_and_only_of_the_exception_that_was_noted():
    error = failing("1 / 0")
    circumstances.begin()
    circumstances.note(error, {})
    assert circumstances.of(ValueError()) == {}
    circumstances.note(error, {})
    facts = circumstances.of(error)
    assert facts["hostname"]
    assert facts["memory_peak"] > 1_000_000
    assert circumstances.of(error) == {}


def test_a_module_that_is_missing_has_neighbours():
    error = failing("import msgspecc")
    circumstances.note(error, {})
    assert "msgspec" in circumstances.of(error)["near_modules"]


@pytest.mark.parametrize("source", ["input('name? ')", "import getpass\ngetpass.getpass()"])
def test_questions_are_refused_with_what_to_do(source, capsys):
    before = input
    with nobody_answers():
        error = failing(source)
    assert isinstance(error, EOFError)
    assert "cannot ask you from where this cell runs. Ask in a cell of the notebook" in str(error)
    assert input is before
    assert capsys.readouterr().out == ""
