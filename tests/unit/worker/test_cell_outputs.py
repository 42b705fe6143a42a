"""What of a cell is sent back, and what is kept instead, by the limits of its endpoint."""

from __future__ import annotations

import pytest

from funcx_core.cells.rebuild import Arrivals
from funcx_core.cells.spec import LAST_VALUE, CellSpec
from funcx_core.errors import ResultTooLarge, ValueNotKept
from funcx_core.ids import new_task_id
from funcx_endpoint.kept import KeptFolder
from funcx_endpoint.worker import place
from funcx_endpoint.worker.cell_outputs import outcome_of


@pytest.fixture
def folder(tmp_path, monkeypatch):
    made = KeptFolder(tmp_path / "kept", lifetime=3600.0, limit=1_000_000)
    made.open()
    here = place.Place(made, "carol", new_task_id(), most_returned=300_000)
    monkeypatch.setattr(place, "_find", lambda: here)
    return tmp_path / "kept"


def outcome(value=None, *, result_limit=10_000_000, keep=(), **variables):
    spec = CellSpec(
        source="",
        filename="c",
        outputs=[n for n in variables if n not in keep],
        keep=list(keep),
        result_limit=result_limit,
    )
    return outcome_of(spec, Arrivals(dict(variables)), value, None)


def test_all_that_goes_home_together_is_less_than_what_the_endpoint_sends_back(folder):
    found = outcome(bytes(100_000), a=bytes(150_000), b=bytes(150_000))
    assert [facts.name for facts in found.kept] == ["b", LAST_VALUE]
    assert len(found.sizes) == 1
    assert len(found.values) + len(found.value or b"") < 300_000 - 64 * 1024
    assert found.kept[0].over == 300_000 - 64 * 1024


def test_what_is_asked_for_counts_if_it_is_less(folder):
    assert [facts.name for facts in outcome(result_limit=1000, a=bytes(900), b=bytes(900)).kept] == ["b"]


def test_where_nothing_can_be_kept_it_is_an_error_and_nothing_stays(folder):
    with pytest.raises(ResultTooLarge, match="and it cannot be kept"):
        outcome(a=1, b=bytes(2_000_000), keep=["a"])
    assert not list(folder.glob("*/*"))
    with pytest.raises(ValueNotKept, match="of the 1,000,000 bytes that this endpoint keeps"):
        outcome(b=bytes(2_000_000), keep=["b"])


def test_without_a_place_that_is_told(monkeypatch):
    monkeypatch.setattr(place, "_find", lambda: None)
    with pytest.raises(ValueNotKept, match="this endpoint keeps no values"):
        outcome(a=1, keep=["a"])
    assert outcome(bytes(2_000_000)).left_behind.startswith("it is too large")
