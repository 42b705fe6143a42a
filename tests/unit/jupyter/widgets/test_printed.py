"""What is shown of values."""

from __future__ import annotations

from funcx_core.cells.spec import Bundle, CellOutcome
from funcx_core.protocol.codec import encode
from funcx_jupyter.widgets.printed import MOST, as_shown


class Broken:
    def __repr__(self):
        raise ValueError("no")


def test_a_cell_shows_what_it_showed_where_it_ran():
    assert as_shown(encode(CellOutcome(shown=Bundle(data={"text/plain": "   a\n0  1"})))) == "   a\n0  1"
    assert as_shown(encode(CellOutcome())) == "The cell shows no value."


def test_other_values_show_themselves_up_to_a_length():
    assert as_shown({"a": b"\x00"}) == "{'a': b'\\x00'}"
    assert as_shown(b"bytes") == "b'bytes'"
    assert as_shown("x" * 30_000).endswith(f"… {30_002 - MOST:,} characters more")
    assert as_shown(Broken()) == "<Broken, whose repr raised ValueError>"
