"""The pure parts of `%%funcx --map`: the clause, the plan, the output, what failed."""

from __future__ import annotations

import itertools
import json
from collections import Counter, namedtuple

import pytest

from funcx_core.cells.elements import (
    HIDDEN,
    PIECES,
    PackedElement,
    Piece,
    load_element,
    pack_element,
    read_pieces,
    write_pieces,
)
from funcx_core.cells.rebuild import Arrivals
from funcx_core.cells.spec import FigureStyle
from funcx_core.protocol.progress import Bar, BarState, Progress, write_progress
from funcx_core.protocol.task import EventKind, TaskEvent, TaskState, event_seq
from funcx_core.sdk.grids.outcomes import PointState
from funcx_jupyter.capture.values import Notebook
from funcx_jupyter.cellmaps import clause, output
from funcx_jupyter.cellmaps.clause import MapClause, elements_of, label, list_elements, parse_clause
from funcx_jupyter.cellmaps.element_bars import MOST_ROWS, ElementBars
from funcx_jupyter.cellmaps.failure import in_words
from funcx_jupyter.cellmaps.output import MapOutput, labelled
from funcx_jupyter.cellmaps.plan import elements_kept, plan_map, read_about, write_about
from funcx_jupyter.cellmaps.view import state_of
from funcx_jupyter.errors import CaptureError, LargeInputError, MagicArgumentError
from funcx_jupyter.options.cell import CellOptions
from funcx_jupyter.options.parser import parse_cell_line
from funcx_jupyter.script_cells import python_for
from funcx_jupyter.session.prepare import CellText

N = MapClause("n", "items")


def planned(elements, source="n", **namespace):
    text = CellText(visible=source, body=source, first_line=1, filename="<cell>")
    return plan_map(text, CellOptions(), N, Notebook({"items": elements, **namespace}), FigureStyle())


def printed(text, kind=EventKind.STDOUT):
    return Piece(kind, text.encode())


class TestClause:
    def test_it_is_a_variable_and_an_expression(self):
        assert parse_clause("seed = range(200)") == MapClause("seed", "range(200)")
        assert parse_cell_line('theta --map "row=df.itertuples(index=False)" --chunk 5').map == MapClause(
            "row", "df.itertuples(index=False)"
        )

    @pytest.mark.parametrize(
        ("line", "says"),
        [
            ("--map seed", "'seed' is not of the form v=iterable, such as seed=range(200)"),
            ("--map 2=x", "'2' cannot be the name of a variable"),
            ("--map for=x", "'for' cannot be the name of a variable"),
            ("--map a=1+", "'1+' is not a Python expression; put quotes around it if it has spaces"),
            ("--map a=b --chunk 0", "'0' is not a number from 1 to 100,000"),
            ("--chunk 3", "it goes with --map only"),
        ],
    )
    def test_what_is_wrong_with_it_is_said(self, line, says):
        with pytest.raises(MagicArgumentError) as raised:
            parse_cell_line(line)
        assert says in str(raised.value)

    def test_elements_are_evaluated_once_where_the_notebook_is(self):
        calls = []
        namespace = {"items": lambda: calls.append(1) or iter("ab")}
        assert elements_of(MapClause("n", "items()"), namespace) == ["a", "b"]
        assert calls == [1]

    def test_a_range_stays_one_and_nothing_is_fine(self):
        assert elements_of(MapClause("n", "range(10**9)"), {}) == range(10**9)
        assert list_elements({}, N) == []

    def test_what_has_no_end_is_refused(self, monkeypatch):
        monkeypatch.setattr(clause, "MOST_UNSIZED", 100)
        with pytest.raises(CaptureError, match=r"more than 100 elements, and may have no end. Take a part of it"):
            list_elements(itertools.count(), N)

    def test_errors_of_the_expression_are_told(self):
        with pytest.raises(CaptureError, match=r"`--map n=items`: NameError: name 'items' is not defined"):
            elements_of(N, {})
        with pytest.raises(CaptureError, match=r"int has no elements"):
            list_elements(3, N)

    def test_labels_are_short(self):
        assert label("n", 3) == "n=3"
        assert label("n", "x" * 100) == "n='" + "x" * 38 + "…"


class TestPlan:
    def test_the_variable_is_no_input_and_plain_elements_travel_as_they_are(self):
        plan = planned(["a", "bb"], "n + str(k)", k=1, n="hidden by the element")
        assert plan.cell.spec.names == ["k"]
        assert list(plan.calls()) == [("a",), ("bb",)]
        assert plan.chunksize(None, 10_000) == "auto"
        assert plan.chunksize(7, 10_000) == 7

    def test_large_elements_travel_a_few_at_a_time(self):
        plan = planned([b"x" * 1000] * 3)
        assert plan.chunksize(None, 100_000) == 16
        assert plan.chunksize(500, 100_000) == 99
        with pytest.raises(LargeInputError, match=r"An element of `n` has 1,005 bytes; this service takes at most 900"):
            plan.chunksize(None, 900)

    def test_an_element_that_cannot_be_sent_is_named(self):
        with pytest.raises(CaptureError, match=r"Element 1 of `n` \(generator\) cannot be sent"):
            planned([1, (x for x in ())])

    def test_other_elements_are_another_content(self):
        assert planned([1, 2]).digest == planned([1, 2]).digest
        assert len({planned(x).digest for x in ([1, 2], [12], ["1", "2"], range(2), [0, 1], [(1, 2)])}) == 6

    def test_another_kernel_finds_the_elements(self):
        about = read_about(write_about(planned([1, "a"]), {}, 2.0))
        assert (about.variable, about.seconds, elements_kept(about, 2, {})) == ("n", 2.0, [1, "a"])
        assert elements_kept(about, 3, {}) == range(3)

    def test_a_script_for_the_shell_has_it_in_its_environment(self):
        asked = CellOptions(is_shell=True, map=N, inputs=("case",))
        code, _ = python_for("echo $n", asked, Notebook({"case": "a"}))
        assert "{'case': case, 'n': n}" in code


class TestElements:
    def test_rows_of_a_table_are_small_and_have_one_class(self):
        row = namedtuple("Pandas", ["Index", "a"], module="pandas.core.frame")  # noqa: PYI024 - as pandas makes them
        packed = [pack_element(row(number, "x"), Arrivals({}))[0] for number in range(2)]
        assert max(len(one.data) for one in packed) < 120
        first, second = (load_element(one, Arrivals({})) for one in packed)
        assert (first, second.Index, type(first)) == ((0, "x"), 1, type(second))

    def test_numbers_and_texts_need_no_pickle_of_their_own(self):
        assert pack_element("a", Arrivals({})) == ("a", set())
        assert isinstance(pack_element([1], Arrivals({}))[0], PackedElement)


class TestOutput:
    def test_it_is_in_order_and_each_line_has_its_element(self):
        shown = MapOutput("n={}".format, "%funcx logs 3f2a")
        shown.add(2, [printed("c\n")], 0)
        shown.add(0, [printed("a\nb"), printed("oops\n", EventKind.STDERR)], 0)
        assert shown.as_bundle()["text/plain"] == "[n=0] a\n[n=0] b\n[n=0] oops\n[n=2] c"

    def test_of_a_line_that_was_written_over_the_last_form_is_taken(self):
        assert labelled("n=1", "10%\r50%\r100%\nx\r\n") == "[n=1] 100%\n[n=1] x\n"

    def test_figures_have_the_name_above_them(self):
        shown = MapOutput("n={}".format, "more")
        shown.add(1, [Piece(EventKind.DISPLAY, json.dumps({"data": {"image/png": "AAAA"}}).encode())], 0)
        assert shown.as_bundle()["text/html"].count("data:image/png;base64,AAAA") == 1

    def test_it_has_a_bound_and_says_what_it_leaves_out(self, monkeypatch):
        monkeypatch.setattr(output, "MOST_KEPT", 10)
        shown = MapOutput("n={}".format, "%funcx logs 3f2a")
        for number in range(3):
            shown.add(number, [printed("12345678")], 5)
        assert shown.as_bundle()["text/plain"] == (
            "[n=0] 12345678\n… 2 more printed — `%funcx logs 3f2a`\n… 15 bytes of output of single elements hidden"
        )

    def test_failures_are_named_and_go_when_they_have_been_mended(self):
        shown = MapOutput("n={}".format, "more")
        for number in range(30):
            shown.fail(number, "ValueError: x", [], 0)
        lines = shown.as_bundle()["text/plain"].splitlines()
        assert (lines[0], lines[-1], len(lines)) == ("[n=0] ValueError: x", "… 10 more failed", 21)
        for number in range(30):
            shown.add(number, [], 0)
        assert shown.as_bundle()["text/plain"] == ""

    def test_what_failed_elements_had_shown_stands_above_their_failures_once(self):
        shown = MapOutput("n={}".format, "more")
        for _ in range(2):  # It is run again, and fails again.
            shown.fail(1, "ValueError: x", [printed("about to\n")], 3)
        assert shown.as_bundle()["text/plain"] == (
            "[n=1] about to\n[n=1] ValueError: x\n… 3 bytes of output of single elements hidden"
        )
        shown.add(1, [printed("fine\n")], 0)
        assert shown.as_bundle()["text/plain"] == "[n=1] fine"

    def test_what_an_element_had_shown_travels_with_its_error(self):
        pieces = [printed("a\xff\n"), Piece(EventKind.DISPLAY, b'{"data": {}}')]
        details = json.loads(json.dumps({PIECES: write_pieces(pieces), HIDDEN: 7}))
        assert read_pieces(details) == (pieces, 7)
        assert read_pieces({}) == ([], 0)
        assert read_pieces({PIECES: "nonsense"}) == ([], 0)


def test_failures_are_grouped_by_type():
    lines = ["ValueError: a", "KeyError: 1", "ValueError: b", *(f"E{n}: x" for n in range(5))]
    assert in_words(10, lines, "seed=3", "3f2a") == (
        "8 of 10 elements failed: 2 ValueError, 1 KeyError, 1 E0, 1 E1, 1 E2, 2 other types. The first is seed=3: ValueError: a. "
        "`%funcx rerun 3f2a --failed` runs them again; `%funcx result 3f2a` has the values of the others."
    )
    assert in_words(10, lines, "seed=3", "3f2a", has_output=True).endswith(" `%funcx logs 3f2a` has what they printed.")


@pytest.mark.parametrize(
    ("counts", "state"),
    [
        ({"waiting": 3}, TaskState.RECEIVED),
        ({"waiting": 1, "succeeded": 2}, TaskState.RUNNING),
        ({"succeeded": 3}, TaskState.SUCCESS),
        ({}, TaskState.SUCCESS),
        ({"succeeded": 1, "lost": 1}, TaskState.FAILED),
        ({"succeeded": 1, "cancelled": 1}, TaskState.CANCELLED),
    ],
)
def test_a_map_has_the_state_of_its_elements(counts, state):
    assert state_of(Counter({PointState(name): count for name, count in counts.items()})) is state


class TestBars:
    def told(self, bars, task_id, call, *descriptions):
        shown = [Bar(id=number, description=each, total=9) for number, each in enumerate(descriptions)]
        body = write_progress(Progress(call=call, bars=shown))
        bars.on_event(TaskEvent(task_id, event_seq(1, 1), EventKind.PROGRESS, 0, body))

    def test_each_row_has_the_name_of_its_element_and_the_newest_come_first(self):
        bars = ElementBars()
        self.told(bars, "t1", 1, "load", "fit")
        self.told(bars, "t2", 0, "")
        rows = bars.rows({"t1": [0, 1], "t2": [2]}, "n={}".format)
        assert [bar.description for bar in rows.bars] == ["[n=2]", "[n=1] load", "[n=1] fit"]

    def test_few_are_shown_and_the_others_counted(self):
        bars = ElementBars()
        for number in range(9):
            self.told(bars, f"t{number}", 0, "x")
        rows = bars.rows({f"t{number}": [number] for number in range(9)}, "n={}".format)
        assert (next(bar.description for bar in rows.bars), len(rows.bars), rows.more) == ("[n=8] x", MOST_ROWS, 5)

    def test_those_of_ended_tasks_are_gone_and_so_are_bars_that_have_ended(self):
        bars = ElementBars()
        self.told(bars, "t1", 0, "x")
        assert bars.rows({}, str) == Progress()
        ended = write_progress(Progress(call=0, bars=[Bar(id=1, state=BarState.DONE)]))
        bars.on_event(TaskEvent("t2", event_seq(1, 1), EventKind.PROGRESS, 0, ended))
        bars.on_event(TaskEvent("t3", event_seq(1, 1), EventKind.PROGRESS, 0, b"of the user's own kind"))
        bars.on_event(TaskEvent("t4", event_seq(1, 1), EventKind.STDOUT, 0, b"x"))
        assert bars.rows({"t2": [0], "t3": [1], "t4": [2]}, str) == Progress()
