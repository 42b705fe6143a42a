"""Values in their places in a command line."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from funcx_core.commands.template import check_template, fill_in


def test_a_value_is_put_in_as_str_format_does():
    assert fill_in("head -n {n:03d} {path} > {{x}}", {"n": 7, "path": "a b", "more": 1}, quote=False) == (
        "head -n 007 a b > {x}"
    )


def test_items_and_attributes_are_reached():
    assert fill_in("{point.real} {table[key]}", {"point": 1.5, "table": {"key": "v"}}, quote=False) == "1.5 v"


@pytest.mark.parametrize(("template", "quote"), [("cat {path:q}", False), ("cat {path}", True)])
@given(path=st.text())
def test_a_quoted_value_is_one_word_whatever_is_in_it(template, quote, path):
    assert shlex.split(fill_in(template, {"path": path}, quote=quote)) == ["cat", path]


def test_a_quoted_list_is_a_word_for_each_item():
    assert shlex.split(fill_in("rm {paths:q}", {"paths": ["a b", 3]}, quote=False)) == ["rm", "a b", "3"]


def test_what_is_marked_raw_is_not_quoted():
    assert fill_in("ls {options:raw} {path}", {"options": "-l -a", "path": "a b"}, quote=True) == "ls -l -a 'a b'"


def test_a_number_with_a_format_is_quoted_too():
    assert fill_in("x {n:>3d}", {"n": 7}, quote=True) == "x '  7'"


@pytest.mark.parametrize("template", ["awk {print}", "{0}", "{}"])
def test_a_place_without_a_value_says_what_to_do(template):
    with pytest.raises(TypeError, match=r"write them twice"):
        fill_in(template, {"other": 1}, quote=False)


def test_a_brace_that_stands_alone_is_told_before_anything_runs():
    with pytest.raises(ValueError, match="written twice"):
        check_template("find . -exec touch {")
