"""How `%funcx [ENDPOINT] [OPTIONS] EXPRESSION` is read, and what is said of lines that are none."""

from __future__ import annotations

import pytest

from funcx_jupyter.errors import CaptureError, MagicArgumentError, NotConnectedError, UnknownEndpoint
from funcx_jupyter.options.line_form import Known, LineForm, read_line
from funcx_jupyter.verbs.table import VERBS

KNOWN = Known(VERBS, lambda: ["theta", "local", "id-1", "my-box"], {"f", "x", "local_x", "df"})


@pytest.mark.parametrize(
    ("line", "read"),
    [
        ("f(3)", LineForm("", "f(3)")),
        ("theta f(3)", LineForm("theta", "f(3)")),
        ("my-box f(3)", LineForm("my-box", "f(3)")),
        ("id-1 -1 + 2", LineForm("id-1", "-1 + 2")),
        ("local -1", LineForm("local", "-1")),
        ("  theta   f( 3 )  ", LineForm("theta", "f( 3 )")),
        ("-t 60 theta --retries=2 f('a b', -t)", LineForm("-t 60 theta --retries=2", "f('a b', -t)")),
        ("theta -x 'a, b' -q x + 1", LineForm("theta -x 'a, b' -q", "x + 1")),
        ("theta (x for x in [1])", LineForm("theta", "(x for x in [1])")),
        ("await f(3)", LineForm("", "await f(3)")),
        ("x + 1", LineForm("", "x + 1")),
        ("-y", LineForm("", "-y")),
        ("undefined + 1", LineForm("", "undefined + 1")),
        ("theta f(3);", LineForm("theta", "f(3)", True)),
        ("f(';')", LineForm("", "f(';')")),
        ("theta --shell make -j 8; ls", LineForm("theta --shell", "make -j 8; ls")),
        ("'{a} $b'", LineForm("", "'{a} $b'")),
    ],
)
def test_the_parts_of_a_line(line, read):
    assert read_line(line, KNOWN) == read


def test_a_variable_that_is_called_as_an_endpoint_is_the_variable():
    known = Known(VERBS, lambda: ["x"], {"x", "y"})
    assert read_line("x + 1", known) == LineForm("", "x + 1")
    assert read_line("x y + 1", known) == LineForm("x", "y + 1")


@pytest.mark.parametrize(
    ("line", "kind", "message"),
    [
        ("staus", MagicArgumentError, "`staus` is not a verb of %funcx. Did you mean `status`? See `%funcx help`."),
        (
            "canel 3f2a",
            MagicArgumentError,
            "`canel` is not a verb of %funcx. Did you mean `cancel`? See `%funcx help`.",
        ),
        ("theat f(3)", UnknownEndpoint, "No endpoint named 'theat'. Did you mean 'theta'?"),
        (
            "--retires 3 f(1)",
            MagicArgumentError,
            "`--retires` is not an option of %%funcx. Did you mean `--retries`? See `%%funcx?`.",
        ),
        (
            "theta",
            MagicArgumentError,
            "There is nothing to run in `%funcx theta`: `%funcx theta EXPRESSION` runs one, `%funcx use theta` makes it the default.",
        ),
        ("-t 5", MagicArgumentError, "There is nothing to run in `%funcx -t 5`: `%funcx -t 5 EXPRESSION` runs one."),
        (
            "theta y = f(3)",
            MagicArgumentError,
            "`y = f(3)` is a statement, and `%funcx` takes an expression. `%%funcx -o NAME` over a cell runs statements; `value = %funcx EXPRESSION` assigns.",
        ),
        (
            "f(3",
            MagicArgumentError,
            "`f(3` is neither a verb of %funcx nor an expression ('(' was never closed). See `%funcx help`.",
        ),
        (
            "qqq zzz",
            MagicArgumentError,
            "`qqq zzz` is neither a verb of %funcx nor an expression (invalid syntax). See `%funcx help`.",
        ),
    ],
)
def test_what_is_no_line(line, kind, message):
    with pytest.raises(kind) as raised:
        read_line(line, KNOWN)
    assert str(raised.value) == message


def test_a_wrong_verb_is_named_also_without_a_service():
    def endpoints():
        raise NotConnectedError("None is known.")

    known = Known(VERBS, endpoints, {"x"})
    with pytest.raises(MagicArgumentError, match="Did you mean `status`"):
        read_line("staus", known)
    with pytest.raises(NotConnectedError):
        read_line("qqq zzz", known)
    assert read_line("x + 1", known).expression == "x + 1"


def test_a_line_is_its_value(run, shell):
    run("def double(n):\n  print('there')\n  return 2 * n\nb = 4")
    ran = run("value = %funcx -q double(b + 1)")
    assert (ran.out, shell.user_ns["value"]) == ("there\n", 10)
    ran = run("%funcx local -q double(b)")
    assert ran.value == shell.user_ns["_"] == 8
    assert "Out[3]: 8" in ran.out
    assert run("%funcx -q double(b);").out == "there\n"


def test_a_line_in_a_loop_and_in_a_function(run, shell):
    run("found = []\nfor i in range(2):\n  a = %funcx -q i + 10\n  found.append(a)")
    assert shell.user_ns["found"] == [10, 11]
    run("def outer(n):\n  one = %funcx -q n + 1\n  return one")
    run("answer = outer(5)")
    assert shell.user_ns["answer"] == 6


def test_a_line_that_raises_shows_its_own_line(run):
    ran = run("\nn = 0\nvalue = %funcx -q 1 / n")
    assert isinstance(ran.error, ZeroDivisionError)
    assert "Cell In[1], line 3" in ran.out
    assert "%funcx -q 1 / n" in ran.out


def test_a_line_is_checked_as_cells_are(run, connection):
    before = len(connection.specs)
    ran = run("%funcx fo(3)")
    assert isinstance(ran.error, CaptureError)
    assert "`fo` is used on line 1 but is not defined here" in str(ran.error) or "`fo`" in str(ran.error)
    assert isinstance(run("%funcx nowhere f(3)").error, MagicArgumentError)
    assert isinstance(run("%funcx loca 1 + 1").error, UnknownEndpoint)
    assert len(connection.specs) == before


def test_a_shell_command_in_a_line(run):
    assert run("%funcx local -q --shell true && exit 0").error is None
    assert type(run("%funcx local -q --shell exit 3").error).__name__ == "CommandFailed"


def test_a_line_without_waiting(run, shell):
    run("task = %funcx -a -q 6 * 7")
    assert shell.user_ns["task"].result(20) == 42


def test_both_magics_explain_themselves(run):
    for form in ("%funcx?", "%%funcx?"):
        ran = run(form)
        assert "value = %funcx theta simulate(df)" in ran.out
        assert "--retries" in ran.out
        assert "%funcx use ENDPOINT" in ran.out
