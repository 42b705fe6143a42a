"""How two values of a compared cell differ, in words."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

from funcx_core.cells.spec import Bundle
from funcx_jupyter.session.outcome import Finished, LeftBehind
from funcx_jupyter.trials.comparison import Comparison, Side
from funcx_jupyter.trials.differences import Verdict, compare, compare_text

NAN = float("nan")


class Plain:
    """Has no idea of equality."""

    def __init__(self, **fields):
        self.__dict__.update(fields)


class Odd:
    def __eq__(self, other):
        raise RuntimeError("no")

    __hash__ = None


@dataclasses.dataclass
class Point:
    x: float


@pytest.mark.parametrize(
    "value",
    [
        1,
        NAN,
        "a",
        None,
        b"x",
        True,
        [1, NAN, {"a": (2,)}],
        {1, 2},
        np.array([1.0, NAN]),
        np.array(["a", None], dtype=object),
        np.arange(3),
        pd.DataFrame({"a": [1, 2], "b": ["x", None]}),
        pd.Series([1.0, NAN]),
        Point(1.0),
        Plain(a=1),
        1j,
    ],
)
def test_equal_values_are_equal(value):
    assert str(compare(value, value)) == "equal"


@pytest.mark.parametrize(
    ("here", "there", "said"),
    [
        (0.1 + 0.2, 0.3, "close: 5.6e-17 apart"),
        ([1.0, 2.0], [1.0, 2.0 + 1e-9], "close: [1]: 1e-09 apart"),
        (np.array([1.0, 2.0]), np.array([1.0, 2.0 + 1e-9]), "close: 1 of 2 elements, by 1e-09 at most"),
        (
            pd.DataFrame({"a": [1.0]}),
            pd.DataFrame({"a": [1.0 + 1e-9]}),
            "close: ['a']: 1 of 1 elements, by 1e-09 at most",
        ),
        (1, 2, "different: 1 ≠ 2"),
        (1, 1.0, "different: 1 (int) ≠ 1.0 (float)"),
        (1, np.int64(1), "different: int ≠ numpy.int64"),
        (1.0, 1.1, "different: 1.0 ≠ 1.1"),
        (1.0, NAN, "different: 1.0 ≠ nan"),
        (None, [], "different: NoneType ≠ list"),
        ([1], [1, 2], "different: 1 element ≠ 2 elements"),
        ({"a": 1}, {"b": 1}, "different: 'a' is here only, 'b' is there only"),
        ({"a": {"b": [1, 2]}}, {"a": {"b": [1, 3]}}, "different: ['a']['b'][1]: 2 ≠ 3"),
        ({1, 2}, {2, 3}, "different: 2 elements are in one only"),
        ("a\nb", "a\nc", "different: line 2: 'b' ≠ 'c'"),
        (np.zeros(2), np.zeros(3), "different: shape (2,) ≠ (3,)"),
        (np.zeros(2), np.zeros(2, "f4"), "different: dtype float64 ≠ float32"),
        (np.array([1, 2]), np.array([1, 5]), "different: 1 of 2 elements, by 3 at most"),
        (np.array([1.0, 2.0]), np.array([1.0, NAN]), "different: 1 of 2 elements, by 0 at most"),
        (np.array(["a"]), np.array(["b"]), "different: 1 of 1 elements"),
        (pd.DataFrame({"a": [1]}), pd.DataFrame({"b": [1]}), "different: columns[0]: 'a' ≠ 'b'"),
        (pd.Series([1], index=[0]), pd.Series([1], index=[7]), "different: index: 1 of 1 elements, by 7 at most"),
        (pd.DataFrame({"a": [1]}), pd.DataFrame({"a": [1.0]}), "different: ['a']: dtype int64 ≠ float64"),
        (Point(1.0), Point(2.0), "different: Point(x=1.0) ≠ Point(x=2.0)"),
        (Plain(a=[1]), Plain(a=[2]), "different: .a[0]: 1 ≠ 2"),
        (Odd(), Odd(), "cannot be compared: RuntimeError: no"),
        (object(), object(), "cannot be compared: object does not say what equal is"),
    ],
)
def test_differences_say_where_and_by_how_much(here, there, said):
    found = str(compare(here, there))
    assert found == said


def test_texts_say_the_first_line():
    assert str(compare_text("a\nb\n", "a\nb\nc\n")) == "different: 2 lines ≠ 3 lines"
    assert compare_text("a", "a").verdict is Verdict.EQUAL


def side(where, value=None, *, error=None, printed="", seconds=1.0, shown=None, **outputs):
    look = Bundle({"text/plain": shown or repr(value)})
    finished = None if error else Finished(outputs, {}, look, value)
    return Side(where, finished, error, printed, seconds, seconds + 1)


def test_a_comparison_is_one_table():
    found = Comparison(side("here", 3, y=[1.0], printed="a\n", seconds=4.0), side("theta", 4, y=[1.0], printed="a\n"))
    assert [" ".join(line.split()) for line in repr(found).splitlines()] == [
        "here theta close: within 1e-06 of the value or 1e-09",
        "value 3 4 different: 3 ≠ 4",
        "y [1.0] [1.0] equal",
        "printed 1 line 1 line equal",
        "time 4.0 s 1.0 s (with the way 2.0 s) theta is 4.0 times as fast",
    ]
    assert (found.same, found.close, list(found.differences)) == (False, False, ["value"])
    assert "<table>" in found._repr_html_()


def test_a_failure_of_one_side_is_shown():
    found = Comparison(side("here", 3), side("theta", error=ValueError("bad")))
    assert "ValueError: bad" in repr(found)
    assert str(found.found["outcome"]) == "different: one of them failed"
    both = Comparison(side("here", error=KeyError(1)), side("theta", error=KeyError(1)))
    assert both.same


def test_values_that_stay_behind_are_compared_as_they_look():
    one, other = (LeftBehind(Bundle({"text/plain": "<Figure>"}), "it is a figure") for _ in range(2))
    assert Comparison(side("here", one, shown="<Figure>"), side("theta", other, shown="<Figure>")).same
