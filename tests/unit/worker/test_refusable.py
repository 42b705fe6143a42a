"""Results that the service may refuse: what is told then, and how their values are found where they stay."""

from __future__ import annotations

import pytest

from funcx_core.cells.rebuild import Arrivals
from funcx_core.cells.spec import LAST_VALUE, Bundle, CellSpec, outcome_decoder
from funcx_core.errors import ValueNotKept
from funcx_core.ids import FunctionId, TaskId, new_task_id
from funcx_core.protocol.codec import encode
from funcx_core.protocol.task import Function, Task, TaskOptions
from funcx_core.serialize import pack_call, pack_function, pack_value
from funcx_endpoint import kept_result
from funcx_endpoint.if_refused import WHOLE_OUTCOME, if_refused_decoder
from funcx_endpoint.kept import KeptFolder, Manner
from funcx_endpoint.large import LargeFolder
from funcx_endpoint.worker import keeping, place
from funcx_endpoint.worker.cell_outputs import outcome_of
from funcx_endpoint.worker.interrupts import Interrupts
from funcx_endpoint.worker.page import Page
from funcx_endpoint.worker.refusable import if_refused, refusable
from funcx_endpoint.worker.run import Functions, LargeValues, Runner

INLINE = 300_000
LARGE = bytes(INLINE)


def repeated(text, count):
    return text * count


@pytest.fixture
def here(tmp_path, monkeypatch):
    folder = KeptFolder(tmp_path / "kept", lifetime=3600.0, limit=4_000_000)
    folder.open()
    made = place.Place(folder, "carol", new_task_id(), most_returned=2_000_000, most_inline=INLINE)
    monkeypatch.setattr(place, "_find", lambda: made)
    return made


def outcome(value=None, shown=None, brings=False, **variables):
    spec = CellSpec(source="", filename="c", outputs=list(variables), result_limit=10_000_000, brings=brings)
    arrivals = Arrivals(dict(variables))
    return refusable(spec, arrivals, outcome_of(spec, arrivals, value, shown))


def told_instead():
    return outcome_decoder.decode(if_refused_decoder.decode(if_refused()).outcome)


def stays(here, whole):
    """What the agent does when the service refuses the outcome."""
    with here.folder.writing(here.key(WHOLE_OUTCOME), Manner.ASKED) as file:
        file.write(pack_value(encode(whole)))


def test_of_a_small_outcome_nothing_is_noted(here):
    assert outcome(5, y=1).names == []
    assert if_refused_decoder.decode(if_refused()).outcome == b"", "as of a task that is no cell"


def test_what_is_told_names_all_that_would_have_been_sent(here):
    whole = outcome(5, Bundle({"text/plain": "5"}), y=LARGE, z=[1, 2])
    assert whole.names == ["y", "z"]
    told = told_instead()
    assert [(facts.name, facts.type_name, facts.length) for facts in told.kept] == [
        ("y", "bytes", INLINE),
        ("z", "list", 2),
    ]
    assert (told.sizes, told.values, told.value, told.shown) == ([], b"", whole.value, whole.shown)
    assert len(encode(told)) < 10_000


def test_what_a_large_value_looks_like_is_told_in_short(here):
    told_by = Bundle({"text/plain": "a picture", "image/png": "x" * INLINE})
    whole = outcome(bytes(200_000), told_by)
    assert len(encode(whole)) > INLINE
    told = told_instead()
    assert [facts.name for facts in told.kept] == [LAST_VALUE]
    assert told.shown.data["text/plain"].startswith("a picture\n(All that it shows")
    assert len(encode(told)) < INLINE // 2


def test_what_is_only_brought_is_not_kept_again(here):
    outcome(value=LARGE, brings=True)
    assert if_refused() == b""


def test_each_value_is_found_and_removed_by_its_name(here):
    whole = outcome(7, y=LARGE, z=[1, 2])
    stays(here, whole)
    find = keeping.finder(here, Arrivals({}))
    assert find(here.task_id, "z") == [1, 2]
    assert find(here.task_id, "y") == LARGE
    assert find(here.task_id, LAST_VALUE) == 7
    with pytest.raises(ValueNotKept):
        find(here.task_id, "x")
    assert keeping.delete(here.task_id, "y")
    assert keeping.finder(here, Arrivals({}))(here.task_id, "z") == [1, 2]
    with pytest.raises(ValueNotKept):
        keeping.finder(here, Arrivals({}))(here.task_id, "y")


def test_where_there_is_no_room_for_them_twice_they_stay_together(here):
    stays(here, outcome(y=LARGE, z=[1, 2]))
    here.folder.limit = INLINE + 20_000
    for _ in range(2):
        assert keeping.finder(here, Arrivals({}))(here.task_id, "y") == LARGE


def test_a_value_for_who_reads_no_references_is_kept_when_it_is_too_large(here, tmp_path):
    functions = Functions()
    functions.add([Function(FunctionId("f"), "f", pack_function(repeated))])
    page, _ = Page.create(tmp_path / "page")
    large = LargeValues(LargeFolder(tmp_path / "large"), 5000)
    runner = Runner(functions, Interrupts(page), large=large, max_result=100)
    task = Task(TaskId(here.task_id), 1, FunctionId("f"), pack_call(("x", 4000), {}), TaskOptions(inline_result=True))
    error = runner.run(task, 1).error
    assert (error.code, error.details["limit"], error.details["kept"]) == ("result_too_large", 100, True)
    assert f"kept_result('{here.task_id}')" in error.message
    assert kept_result(here.task_id) == "x" * 4000
    assert keeping.finder(here, Arrivals({}))(here.task_id, LAST_VALUE) == "x" * 4000
