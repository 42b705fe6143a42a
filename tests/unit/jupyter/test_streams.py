"""How captured variables are divided, and that they arrive as they were."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from funcx_core.cells.inputs import inputs_from
from funcx_core.cells.rebuild import Arrivals
from funcx_core.cells.running import bring_in
from funcx_core.cells.sources import remember_text
from funcx_core.cells.spec import CellSpec
from funcx_core.errors import InputLost
from funcx_core.protocol.blob import MOST_BLOBS
from funcx_jupyter.capture.streams import LEAST, Packed, Packer

LONG = "x" * LEAST


def packed(**variables):
    packer = Packer(Arrivals({}))
    for name, value in variables.items():
        packer.add(name, value)
    return packer.finish()


def arrived(result: Packed):
    spec = CellSpec(source="", filename="", names=result.names, values=result.pickles, streams=result.streams)
    arrivals = Arrivals({})
    with inputs_from(lambda name: bytearray(result.parts[name].content())):
        bring_in(spec, arrivals)
    return arrivals.namespace


def test_small_variables_travel_in_the_cell():
    result = packed(a=1, b=[2], c=np.arange(3))
    assert (result.names, result.streams, result.parts) == (["a", "b", "c"], [], {})
    assert result.uses == {"a": set(), "b": set(), "c": set()}


def test_large_arrays_go_beside_it_and_may_be_written_to():
    array = np.arange(LEAST)
    fixed = np.arange(LEAST) + 1
    fixed.flags.writeable = False
    result = packed(array=array, fixed=fixed, n=1)
    assert min(result.sizes["array"], result.sizes["fixed"]) > array.nbytes
    assert len(result.parts) == 2
    there = arrived(result)
    assert (there["array"] == array).all()
    assert [there[name].flags.writeable for name in ("array", "fixed")] == [True, False]


def test_the_same_content_has_the_same_name_and_is_still_two_arrays():
    one = np.arange(LEAST)
    first, second = packed(a=one), packed(z=5, a=one.copy())
    assert first.parts.keys() == second.parts.keys()
    result = packed(a=one, b=one.copy())
    assert len(result.parts) == 1
    there = arrived(result)
    there["a"][0] = 7
    assert there["b"][0] == 0


def test_a_new_column_is_one_new_part():
    frame = pd.DataFrame({"a": np.arange(LEAST), "b": np.arange(LEAST) * 0.5})
    before = packed(frame=frame)
    frame["c"] = np.ones(LEAST)
    after = packed(frame=frame)
    assert len(after.parts.keys() - before.parts.keys()) == 1
    pd.testing.assert_frame_equal(arrived(after)["frame"], frame)


def test_a_large_text_has_a_stream_of_its_own_whatever_else_there_is():
    text = packed(text=LONG)
    assert text.parts.keys() <= packed(a=[1], text=LONG, n=2).parts.keys()
    assert arrived(packed(a=[1], text=LONG, n=2)) == {"a": [1], "text": LONG, "n": 2}


def test_what_is_shared_is_shared_there():
    shared = [LONG]
    result = packed(a={"x": shared}, b=(shared,), c=[LONG + "c"], d=shared)
    there = arrived(result)
    assert there["a"]["x"] is there["b"][0] is there["d"]
    assert [sorted(stream.names) for stream in result.streams] == [["c"], ["a", "b", "d"]]


def test_a_small_variable_that_is_part_of_a_large_one_is_it_there():
    part = [1]
    there = arrived(packed(part=part, whole=[part, LONG]))
    assert there["whole"][0] is there["part"]


def test_an_array_that_two_variables_share_is_sent_once():
    array = np.arange(LEAST)
    result = packed(a=[array], b=array)
    assert len(result.parts) == 1
    there = arrived(result)
    assert there["a"][0] is there["b"]


def test_classes_of_the_notebook_are_made_once():
    text = "class Point:\n    def __init__(self, x):\n        self.x = x\n"
    namespace = {"__name__": "__main__"}
    exec(compile(text, "<cell>", "exec"), namespace)
    remember_text("<cell>", text)
    point = namespace["Point"]
    packer = Packer(Arrivals(namespace))
    packer.add("many", [point(LONG), point(2)])
    packer.add("one", point(1))
    there = arrived(packer.finish())
    assert type(there["many"][0]) is type(there["one"])
    assert there["many"][0].x == LONG


def test_there_are_never_more_parts_than_a_task_may_have():
    many = {f"a{number}": np.full(LEAST, number) for number in range(90)}
    many |= {f"t{number}": f"{number}{LONG}" for number in range(60)}
    result = packed(**many)
    assert len(result.parts) <= MOST_BLOBS
    there = arrived(result)
    assert all(there[f"a{number}"][0] == number for number in range(90))
    assert there["t59"] == f"59{LONG}"
    hundreds = packed(**{f"a{number}": [np.full(LEAST, n) for n in range(3)] for number in range(40)})
    assert len(hundreds.parts) <= MOST_BLOBS


def test_what_is_not_there_is_told_before_anything_runs():
    result = packed(text=LONG)
    spec = CellSpec(source="", filename="", streams=result.streams)
    with pytest.raises(InputLost):
        bring_in(spec, Arrivals({}))
