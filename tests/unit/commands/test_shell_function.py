"""Commands as objects: what they accept, how they travel, what their results say."""

from __future__ import annotations

import inspect
import pickle

import pytest

from funcx import ShellFunction, ShellResult
from funcx_core.errors import CommandFailed
from funcx_core.serialize import PackedFunction, pack_value, unpack_function, unpack_value


def test_the_arguments_are_the_published_ones_in_their_order():
    assert list(inspect.signature(ShellFunction).parameters)[:7] == [
        "cmd", "stdout", "stderr", "walltime", "snippet_lines", "name", "return_dict",
    ]  # fmt: skip
    assert list(inspect.signature(ShellResult).parameters)[:5] == [
        "cmd", "stdout", "stderr", "returncode", "exception_name",
    ]  # fmt: skip


def test_a_function_has_the_name_of_its_class_or_its_own():
    assert ShellFunction("true").__name__ == "ShellFunction"
    assert PackedFunction(ShellFunction("true", name="simulate")).name == "simulate"


@pytest.mark.parametrize(
    "wrong", [{"walltime": 0}, {"walltime": -1}, {"name": "two words"}, {"name": "class"}, {"snippet_lines": -1}]
)
def test_what_cannot_be_meant_is_refused(wrong):
    with pytest.raises(ValueError, match=r"must|walltime"):
        ShellFunction("true", **wrong)


def test_a_function_travels_with_all_its_options():
    sent = ShellFunction("echo {x}", stdout="o", stderr="e", walltime=3, snippet_lines=5, quote=True, name="say")
    arrived = unpack_function(PackedFunction(sent).body)
    assert type(arrived) is ShellFunction
    assert vars(arrived) == vars(sent)


def test_no_byte_code_travels_so_that_another_python_can_load_it():
    assert b"_create_code" not in pickle.dumps(ShellFunction("true"))


def test_a_function_of_an_older_release_has_the_defaults_of_what_it_does_not_know():
    old = ShellFunction("true")
    del old.quote, old.snippet_bytes, old.run_in_sandbox
    new = pickle.loads(pickle.dumps(old))
    assert (new.quote, new.run_in_sandbox) == (False, False)


def test_a_function_that_was_changed_is_registered_anew():
    function = ShellFunction("echo {x}")
    packed = PackedFunction(function)
    assert packed.is_current()
    function.walltime = 3.0
    assert not packed.is_current()


def test_a_subclass_of_the_notebook_travels_with_its_code():
    class Loud(ShellFunction):
        def __call__(self, **values):
            return super().__call__(**{name: str(value).upper() for name, value in values.items()})

    loud = unpack_function(PackedFunction(Loud("echo {x}")).body)
    assert loud(x="hi").stdout == "HI\n"


@pytest.mark.parametrize("data_only", [False, True], ids=["trusted", "stranger"])
def test_a_result_travels_from_endpoints_that_are_trusted_and_others(data_only):
    result = ShellResult("false", "out", "err", 1, "subprocess.CalledProcessError", None, "/tmp/err")
    assert unpack_value(pack_value(result), data_only=data_only) == result


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (ShellResult("make\nmake test", "", "a\nno rule\n", 2), "`make …` ended with exit code 2: no rule"),
        (ShellResult("a", "", "", -9), "`a` was ended by signal 9."),
        (ShellResult("a", "", "", 124, "subprocess.TimeoutExpired"), "`a` ran into its walltime and was stopped."),
    ],
)
def test_a_failure_is_one_line_when_it_is_asked_for(result, message):
    with pytest.raises(CommandFailed) as caught:
        result.check_returncode()
    assert str(caught.value) == message
    assert caught.value.details == {"returncode": result.returncode}


def test_a_success_is_none():
    ShellResult("true", "", "", 0).check_returncode()


def test_a_result_reads_well():
    assert str(ShellResult("ls", "a\n", "", 0)) == "exit code: 0\n   stdout:\na"
    failed = str(ShellResult("ls", "", "no\n", 1, "subprocess.CalledProcessError"))
    assert failed.endswith("stderr:\nno\n\nexception: subprocess.CalledProcessError")
    assert ".stdout has more" in str(ShellResult("ls", "line\n" * 20, "", 0))
    assert repr(ShellResult("ls", "a", "", 0)) == "ShellResult(cmd='ls', stdout='a', stderr='', returncode=0)"


def test_a_function_reads_well():
    assert repr(ShellFunction("ls", walltime=3, name="show")).startswith("ShellFunction(cmd='ls', name='show', ")
