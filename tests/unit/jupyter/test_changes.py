"""Whether a cell changed a captured variable in place: which may be, and which were."""

from __future__ import annotations

import ast
import functools
from collections import deque

import numpy as np
import pandas as pd
import pytest

from funcx_core.cells import changes
from funcx_core.cells.changes import Fingerprints, fingerprint
from funcx_core.cells.spec import FigureStyle
from funcx_jupyter.capture.mutation import may_be_changed
from funcx_jupyter.capture.values import Notebook
from funcx_jupyter.options.cell import CellOptions
from funcx_jupyter.session.prepare import CellText, prepare


@pytest.mark.parametrize(
    "source",
    [
        "d.append(1)",
        "d[0] = 1",
        "d[0][1].x = 1",
        "del d['a']",
        "d.x = 1",
        "d += [1]",
        "shuffle(d)",
        "shuffle(seq=d)",
        "shuffle(*d)",
        "np.put([1, d], 1)",
        "e = d",
        "e, f = 1, d[0]",
        "for row in d: row['a'] = 1",
        "for i, row in enumerate(d): row.clear()",
        "[row.clear() for row in d]",
        "with d as f: f.write()",
        "(d or e).append(1)",
        "(e := d).append(1)",
        "def f():\n    return d",
        "d[0].setdefault('a', 1)",
    ],
)
def test_what_may_change_a_variable(source):
    assert "d" in may_be_changed(ast.parse(source))


@pytest.mark.parametrize(
    "source",
    [
        "d + 1",
        "x = d * 2",
        "print(d)",
        "len(d)",
        "d[0] + d.x",
        "f'{d}'",
        "d",
        "x = d == 1",
        "if d: pass",
        "x = sum(d) + 1",
    ],
)
def test_what_only_reads_it(source):
    assert "d" not in may_be_changed(ast.parse(source))


def watched(source, options=None, **namespace):
    text = CellText(visible=source, body=source, first_line=1, filename="<cell>")
    return prepare(text, options or CellOptions(), Notebook(namespace), FigureStyle()).spec.watched


def test_only_what_may_be_changed_and_does_not_come_back_is_watched():
    assert watched("d.append(e[0] + 1)", d=[], e=[1]) == ["d"]
    assert watched("d.append(1)", CellOptions(outputs=("d",)), d=[]) == []
    assert watched("d.append(1)\nd = 2", d=[]) == []  # It is known that an assignment does not come back.
    assert watched("d.append(1)", CellOptions(quiet=True), d=[]) == []
    assert watched("d.append(1)", d="x" * 2_000_000) == []


class Model:
    def __init__(self):
        self.weights = [1, 2]
        self._cache = {}

    @functools.cached_property
    def total(self):
        return sum(self.weights)


Model.__module__ = "__main__"


class Library(Model):
    """Of a module that is not the notebook's."""


@pytest.mark.parametrize(
    ("value", "change"),
    [
        ([1, 2], lambda d: d.append(3)),
        ({"a": {"b": [1.5]}}, lambda d: d["a"]["b"].clear()),
        ({1, 2}, lambda d: d.add(3)),
        ([{"a": {1, "<"}}], lambda d: d[0]["a"].remove(1)),
        (deque([1]), lambda d: d.append(2)),
        (bytearray(b"ab"), lambda d: d.extend(b"c")),
        (np.zeros((3, 3)), lambda d: d.__setitem__((1, 1), 5)),
        (np.array([[1], "x"], dtype=object), lambda d: d[0].append(2)),
        (pd.DataFrame({"a": [1, 2], "b": ["x", "y"]}), lambda d: d.__setitem__("c", 1)),
        (pd.DataFrame({"a": [1, 2]}), lambda d: d.__setitem__("a", [1, 3])),
        (pd.Series([1.0, 2.0]), lambda d: d.__setitem__(0, 5.0)),
        ([Model()], lambda d: d[0].weights.append(1)),
    ],
)
def test_a_change_in_place_is_seen(value, change):
    before = Fingerprints({"d": value}, ["d"])
    assert before.changed({"d": value}) == []
    change(value)
    assert before.changed({"d": value}) == ["d"]


def _visit(d):
    for number in range(1000):
        d.add(number)
    for number in range(1000):
        d.discard(number)
    d.add("a")


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (Model(), lambda d: (d.total, d._cache.update(a=1))),
        ([Library()], lambda d: d[0].weights.append(1)),
        (
            pd.DataFrame({"a": [1, 2], "b": [1.5, 2]}),
            lambda d: (d["a"], d.to_numpy(), d.describe(), d.groupby("a").sum(), d.T),
        ),
        (pd.Series(["a", "b"]).astype("category"), lambda d: (d.cat.codes, d.unique())),
        (np.arange(9.0), lambda d: (d.reshape(3, 3).T @ d.reshape(3, 3), d.sum())),
        ({"a"}, _visit),
        ([{"a"}], lambda d: _visit(d[0])),
        (float("nan"), repr),
    ],
)
def test_what_is_merely_read_is_not(value, read):
    before = Fingerprints({"d": value}, ["d"])
    read(value)
    assert before.changed({"d": value}) == []


def test_another_object_under_the_name_is_no_change_in_place():
    assert Fingerprints({"d": [1]}, ["d"]).changed({"d": [2]}) == []
    assert Fingerprints({"d": [1]}, ["d"]).changed({}) == []


def test_what_is_large_or_strange_is_left_alone(monkeypatch):
    class Strange(dict):
        def items(self):
            raise RuntimeError

    assert fingerprint(Strange(a=object())) is None
    loop = []
    loop.append(loop)
    assert Fingerprints({"d": loop}, ["d"]).changed({"d": loop}) == []
    monkeypatch.setattr(changes, "MOST_PARTS", 10)
    assert fingerprint([object()] * 20) is None
    monkeypatch.setattr(changes, "MOST_BYTES", 100)
    assert fingerprint("x" * 200) is None


DAYS = pd.date_range("2026-01-01", periods=3, tz="Europe/Berlin")
TABLE = pd.DataFrame({"x": range(3)})


@pytest.mark.parametrize(
    "table",
    [
        TABLE.assign(when=DAYS),
        TABLE.assign(when=pd.period_range("2026", periods=3, freq="D")),
        TABLE.assign(when=pd.interval_range(0, 3)),
        TABLE.assign(when=pd.Categorical(DAYS)),
        TABLE.assign(when=pd.array([1, None, 3], dtype="Int64")),
        TABLE.set_index(DAYS),
        TABLE.set_index(pd.MultiIndex.from_arrays([DAYS, list("abc")])),
        TABLE.set_index(DAYS)["x"],
    ],
)
def test_cells_that_are_made_anew_whenever_they_are_read_are_no_change(table):
    namespace = {"v": table}
    before = Fingerprints(namespace, ["v"])
    assert len(before._before) == 1
    assert before.changed(namespace) == []
    table.iloc[0] = table.iloc[1]
    assert before.changed(namespace) == ["v"]
