import random
from itertools import product

import numpy as np
import pandas as pd
import pytest

from funcx_core.errors import SerializationError, UsageError
from funcx_core.sdk.grids.calls import packer_of
from funcx_core.sdk.grids.points import points_of
from funcx_core.sdk.grids.record import GridRecord, read_record, write_record
from funcx_core.serialize import unpack_call
from funcx_core.serialize.ranges import unpack_range


def test_a_product_is_in_the_order_of_nested_loops():
    points = points_of({"x": [1, 2], "y": ["a", "b", "c"]})
    assert list(points) == list(product([1, 2], "abc"))
    assert [points[number] for number in range(6)] == list(points)
    assert points.names == points.varying == ("x", "y")


def test_what_is_no_collection_is_the_same_at_all_points():
    points = points_of({"x": range(2), "kind": "gauss", "n": 100})
    assert list(points) == [(0, "gauss", 100), (1, "gauss", 100)]
    assert points.varying == ("x",)
    assert list(points_of({"x": [1, 2], "n": 5}, how="zip")) == [(1, 5), (2, 5)]


def test_arrays_give_plain_numbers():
    points = points_of({"x": np.linspace(0, 1, 3)})
    assert list(points) == [(0.0,), (0.5,), (1.0,)]
    assert type(points[1][0]) is float


def test_values_may_be_taken_one_by_one():
    assert list(points_of({"x": [1, 2], "y": [3, 4]}, how="zip")) == [(1, 3), (2, 4)]
    with pytest.raises(UsageError, match="x has 2, y has 3"):
        points_of({"x": [1, 2], "y": [3, 4, 5]}, how="zip")


def test_points_may_be_given_one_by_one():
    rows = [{"x": 1, "y": 2}, {"y": 4, "x": 3}]
    assert list(points_of(rows)) == [(1, 2), (3, 4)]
    assert list(points_of(pd.DataFrame(rows))) == [(1, 2), (3, 4)]
    with pytest.raises(UsageError, match="Point 1 has the parameters"):
        points_of([{"x": 1}, {"z": 1}])


def test_a_sample_is_of_the_whole_grid_and_in_its_order():
    huge = {"x": range(10**6), "y": range(10**6)}
    points = points_of(huge, sample=1000, seed=7)
    assert len(points) == 1000
    assert list(points) == sorted(set(points))
    assert points == points_of(huge, sample=1000, seed=7)
    assert points != points_of(huge, sample=1000, seed=8)
    assert {x for x, _ in points} != set(range(1000))
    assert len(points_of({"x": [1, 2]}, sample=5)) == 2


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "no parameters"),
        ({"x": []}, "no points"),
        ([], "no points"),
        ("xyz", "is not a grid"),
        (7, "is not a grid"),
        ([1, 2], "must be a dict"),
        ({"a b": [1]}, "cannot be a parameter"),
        ({1: [1]}, "cannot be a parameter"),
    ],
)
def test_what_is_no_grid_is_refused_in_one_line(given, said):
    with pytest.raises(UsageError, match=said) as caught:
        points_of(given)
    assert "\n" not in str(caught.value)


def test_wrong_options_are_named():
    with pytest.raises(UsageError, match="how is 'both'"):
        points_of({"x": [1]}, how="both")
    with pytest.raises(UsageError, match="sample is 0"):
        points_of({"x": [1]}, sample=0)
    with pytest.raises(IndexError):
        points_of({"x": [1]})[1]


def test_a_record_is_read_as_it_was_written():
    record = GridRecord(points_of({"x": range(100), "f": [len]}, sample=10, seed=1), retries=2)
    assert read_record(write_record(record)) == record


def test_a_hundred_thousand_points_with_values_of_their_own_are_kept():
    numbers = random.Random(1)
    rows = [{"x": numbers.random(), "y": numbers.random(), "z": number} for number in range(100_000)]
    record = GridRecord(points_of(rows))
    assert read_record(write_record(record)) == record


def test_what_cannot_be_kept_is_said_before_anything_is_sent():
    with pytest.raises(UsageError, match="are kept"):
        write_record(GridRecord(points_of({"x": [random.Random(1).randbytes(5_000_000)]})))
    with pytest.raises(SerializationError, match="parameters of the grid"):
        write_record(GridRecord(points_of({"x": [(n for n in range(3))]})))


def called(fn, names, points):
    calls, is_listed = unpack_range(packer_of(fn, names)(points))
    return (
        [fn(*args, **kwargs) for args, kwargs in (unpack_call(call) for call in calls)]
        if is_listed
        else [fn(*call) for call in calls]
    )


@pytest.mark.parametrize(
    "fn",
    [
        lambda x, y: (x, y),
        lambda y, x: (x, y),
        lambda y, x, z=3: (x, y),
        lambda x, z=3, y=0: (x, y),
        lambda *, x, y: (x, y),
        lambda y, *, x: (x, y),
        lambda **both: (both["x"], both["y"]),
        lambda x, y, /: (x, y),
    ],
)
def test_parameters_reach_the_arguments_of_their_name(fn):
    assert called(fn, ("x", "y"), [(1, 2), (3, 4)]) == [(1, 2), (3, 4)]


def test_a_function_that_does_not_take_the_parameters_is_named():
    def simulate(x, y):
        return x, y

    with pytest.raises(UsageError, match=r"simulate\(x, y\) cannot be called with x, z"):
        packer_of(simulate, ("x", "z"))
    with pytest.raises(UsageError, match="missing"):
        packer_of(simulate, ("x",))
