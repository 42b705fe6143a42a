"""The pickles that are written without pickle are what old clients load."""

from __future__ import annotations

import builtins
import codecs
import io
import pickle
import pickletools
from typing import Any

import pytest

from funcx_core.protocol.task import TaskError
from funcx_core.service.legacy.dialect import Dialect
from funcx_core.service.legacy.exceptions import REBUILT, failure_object, streamed_failure


class Wrapper:
    """In place of the class that old clients have."""

    e_type: Any
    e_value: Any
    e_traceback: Any


class OldClient(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("funcx.serialize.base", "RemoteExceptionWrapper"):
            return Wrapper
        assert module == "builtins", module
        return getattr(builtins, name)


def loaded(text: str, identifier: str = "00\n") -> Wrapper:
    """Load as old clients do: the identifier, then base64, then a pickle."""
    assert text.startswith(identifier)
    pickled = codecs.decode(text[3:].encode(), "base64")
    return OldClient(io.BytesIO(pickled)).load()


def an_error(type_name: str = "ValueError", message: str = "bad", **more: Any) -> TaskError:
    return TaskError(code="remote_task_error", message=message, type_name=type_name, module="builtins", **more)


def test_a_builtin_exception_is_itself() -> None:
    wrapper = loaded(failure_object(an_error(), Dialect.OBJECT))
    assert wrapper.e_type is ValueError
    assert repr(wrapper.e_value) == "ValueError('bad')"
    assert wrapper.e_traceback is None


def test_the_oldest_client_takes_another_identifier_for_pickles() -> None:
    assert repr(loaded(failure_object(an_error(), Dialect.OBJECT_01), "01\n").e_value) == "ValueError('bad')"


@pytest.mark.parametrize("name", sorted(REBUILT))
def test_every_exception_that_is_rebuilt_can_be(name: str) -> None:
    value = loaded(failure_object(an_error(name), Dialect.OBJECT)).e_value
    assert type(value) is getattr(builtins, name)
    assert isinstance(value, Exception)
    assert value.args == ("bad",)


@pytest.mark.parametrize(
    "name", ["SystemExit", "KeyboardInterrupt", "UnicodeDecodeError", "ExceptionGroup", "eval", "os.system"]
)
def test_what_is_not_on_the_list_is_named_in_the_text(name: str) -> None:
    wrapper = loaded(failure_object(an_error(name), Dialect.OBJECT))
    assert wrapper.e_type is Exception
    assert wrapper.e_value.args == (f"{name}: bad",)


def test_a_class_of_the_user_with_the_name_of_a_builtin_is_not_that_builtin() -> None:
    error = TaskError(code="remote_task_error", message="bad", type_name="ValueError", module="mine")
    assert repr(loaded(failure_object(error, Dialect.OBJECT)).e_value) == "Exception('ValueError: bad')"


def test_an_end_that_no_function_raised_is_named_by_its_code() -> None:
    error = TaskError(code="worker_lost", message="The worker died.")
    assert str(loaded(failure_object(error, Dialect.OBJECT)).e_value) == "worker_lost: The worker died."


def test_the_traceback_of_the_worker_goes_along() -> None:
    value = loaded(failure_object(an_error(traceback="File x, line 1"), Dialect.OBJECT)).e_value
    assert value.__notes__ == ["On the worker:\nFile x, line 1"]


@pytest.mark.parametrize("text", ["", "€ \U0001f600", "a\nb", "\ud800", "x" * 100_000])
def test_any_text_arrives(text: str) -> None:
    assert loaded(failure_object(an_error(message=text), Dialect.OBJECT)).e_value.args == (text,)


def test_followers_of_a_group_get_the_exception_pickled_once_more_and_then_its_text() -> None:
    for length in range(6):  # so that the base64 ends in each of its ways
        sent = streamed_failure(an_error(message="b" * length, traceback="tb"), "Traceback: tb")
        value = OldClient(io.BytesIO(loaded(sent).e_value)).load()
        assert repr(value) == f"ValueError({'b' * length!r})"
        assert sent.endswith("\nTraceback: tb")


def test_the_pickle_is_well_formed() -> None:
    text = failure_object(an_error(traceback="tb"), Dialect.OBJECT)
    names = [opcode.name for opcode, _, _ in pickletools.genops(codecs.decode(text[3:].encode(), "base64"))]
    assert names[0] == "PROTO"
    assert names[-1] == "STOP"
    pickletools.dis(codecs.decode(text[3:].encode(), "base64"), out=io.StringIO())
