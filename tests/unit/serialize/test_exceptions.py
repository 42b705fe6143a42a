"""Exceptions: described without fail, rebuilt as themselves where that is possible."""

from __future__ import annotations

import pickle
import threading

import pytest

from funcx_core.errors import RemoteTaskError, WorkerLost
from funcx_core.protocol.codec import Decoder, encode
from funcx_core.protocol.task import Frame, RelatedError, TaskError
from funcx_core.serialize import RemoteTraceback, describe_exception, rebuild_exception


class NeedsTwo(Exception):
    def __init__(self, one, two):
        super().__init__(f"{one}-{two}")
        self.one = one
        self.two = two


class BadText(Exception):
    def __str__(self):
        raise RuntimeError("no text")


class BadReduce(Exception):
    def __reduce__(self):
        raise RuntimeError("no pickle")


class Sealed(Exception):
    def __setattr__(self, name, value):
        raise AttributeError("sealed")


def raised(error):
    try:
        raise error
    except BaseException as caught:
        return caught


def travel(error, task_id="t1"):
    described = describe_exception(raised(error))
    assert len(encode(described)) < 80 * 1024
    return described, rebuild_exception(Decoder(TaskError).decode(encode(described)), task_id)


def test_a_builtin_exception_comes_back_as_itself():
    described, error = travel(ZeroDivisionError("division by zero"))
    assert (described.code, described.type_name, described.module, described.message) == (
        "remote_task_error", "ZeroDivisionError", "builtins", "division by zero",
    )  # fmt: skip
    assert type(error) is ZeroDivisionError
    assert error.funcx.task_id == "t1"
    assert error.funcx.frames == [Frame(__file__, raised.__code__.co_firstlineno + 2, "raised")]
    assert isinstance(error.__cause__, RemoteTraceback)
    assert "in raised" in str(error.__cause__)


def test_an_exception_with_required_arguments_comes_back_as_itself():
    _, error = travel(NeedsTwo(1, 2))
    assert type(error).__name__ == "NeedsTwo"
    assert (error.one, error.two, str(error)) == (1, 2, "1-2")


def test_an_exception_that_has_no_text_is_described():
    described, error = travel(BadText())
    assert described.message == "<unprintable BadText>"
    assert type(error).__name__ == "BadText"


def test_an_exception_that_cannot_be_pickled_is_described():
    described, error = travel(BadReduce("why"))
    assert described.type_name == "BadReduce"
    assert "why" in str(error)


def test_an_exception_that_takes_no_attributes_becomes_one_of_ours():
    _, error = travel(Sealed("x"))
    assert isinstance(error, RemoteTaskError)
    assert error.details["type_name"] == "Sealed"
    assert error.funcx.task_id == "t1"


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit()])
def test_what_would_end_the_client_becomes_one_of_ours(error):
    _, rebuilt = travel(error)
    assert isinstance(rebuilt, RemoteTaskError)
    assert rebuilt.details["type_name"] == type(error).__name__


def test_a_huge_message_is_cut_and_the_class_stays():
    described, error = travel(ValueError("x" * 50_000_000))
    assert "characters left out" in described.message
    assert type(error) is ValueError


def test_text_that_cannot_be_encoded_is_escaped_and_the_original_travels():
    """U22: a lone surrogate is what `os.fsdecode` makes of a file name that is no UTF-8."""
    described, error = travel(ValueError("no file \udcff\u20ac"))
    assert described.message == "no file \\udcff\u20ac"
    assert "\\udcff" in described.traceback
    assert str(error) == "no file \udcff\u20ac"


def test_a_deep_traceback_is_cut():
    def dive(n):
        return dive(n + 1) + len(str(n))

    try:
        dive(0)
    except RecursionError as error:
        described = describe_exception(error)
    assert len(described.frames) <= 100
    assert len(encode(described)) < 80 * 1024


def test_a_class_that_does_not_exist_here_becomes_one_of_ours():
    error = TaskError(
        code="remote_task_error", message="boom", type_name="Gone", module="nowhere", traceback="tb", exception=b"pb\n\x80\x05cnowhere\nGone\n.",
    )  # fmt: skip
    rebuilt = rebuild_exception(error, "t2")
    assert isinstance(rebuilt, RemoteTaskError)
    assert str(rebuilt) == "Gone: boom"
    assert rebuilt.task_id == "t2"
    assert rebuilt.details["traceback"] == "tb"


def test_our_own_errors_keep_their_class_and_details():
    error = rebuild_exception(TaskError(code="worker_lost", message="It died.", details={"signal": 9}), "t3")
    assert type(error) is WorkerLost
    assert (error.details, error.task_id) == ({"signal": 9}, "t3")


def test_frames_of_this_system_and_hidden_files_are_left_out():
    from funcx_core.ids import parse_id

    try:
        parse_id("nonsense")
    except Exception as error:
        described = describe_exception(error, hidden_files=[__file__])
    assert described.frames == []
    assert "No UUID" not in described.traceback


def test_notes_and_causes_are_in_the_text():
    error = ValueError("outer")
    error.add_note("see the manual")
    error.__cause__ = KeyError("inner")
    described, rebuilt = travel(error)
    assert "inner" in described.traceback
    assert rebuilt.__notes__ == ["see the manual"]


class Own(KeyError):
    pass


def chained():
    try:
        try:
            raise KeyError("first")
        except KeyError:
            raise Own("second")  # noqa: B904 - the context is what this is about
    except KeyError as second:
        raise ValueError("third") from second


def test_causes_and_contexts_come_with_their_frames():
    try:
        chained()
    except ValueError as error:
        described = describe_exception(error)
    rebuilt = rebuild_exception(Decoder(TaskError).decode(encode(described)), "t1")
    assert [(one.how, one.of, type(one.error)) for one in rebuilt.funcx.related] == [
        ("cause", -1, Own),
        ("context", 0, KeyError),
    ]
    assert [one.error.funcx.frames[-1].name for one in rebuilt.funcx.related] == ["chained", "chained"]
    assert rebuilt.funcx.related[1].error.args == ("first",)


def test_what_was_raised_from_none_has_no_context():
    try:
        try:
            raise KeyError("hidden")
        except KeyError:
            raise ValueError("shown") from None
    except ValueError as error:
        described = describe_exception(error)
    assert described.related == []


def test_members_of_a_group_are_its_own_members():
    group = ExceptionGroup("many", [raised(ValueError("a")), ExceptionGroup("inner", [raised(OSError("b"))])])
    _, rebuilt = travel(group)
    assert type(rebuilt) is ExceptionGroup
    assert [(one.how, one.of) for one in rebuilt.funcx.related] == [("member", -1), ("member", -1), ("member", 1)]
    assert rebuilt.funcx.related[0].error is rebuilt.exceptions[0]
    assert rebuilt.funcx.related[2].error.funcx.frames[-1].name == "raised"


def test_a_group_that_cannot_travel_has_members_all_the_same():
    described = describe_exception(raised(ExceptionGroup("many", [BadReduce("x"), ValueError("y")])))
    assert described.exception == b""
    rebuilt = rebuild_exception(described)
    assert isinstance(rebuilt, ExceptionGroup)
    assert [type(one).__name__ for one in rebuilt.exceptions] == ["BadReduce", "ValueError"]


@pytest.mark.parametrize(
    ("bases", "matched"),
    [
        (["ModuleNotFoundError", "ImportError"], ModuleNotFoundError),
        (["KeyError", "LookupError"], LookupError),
        (["UnicodeDecodeError", "UnicodeError", "ValueError"], UnicodeError),
        (["FileNotFoundError", "OSError"], OSError),
        (["StopIteration"], StopIteration),
        (["NoSuchClass", "exit", "ArithmeticError"], ArithmeticError),
    ],
)
def test_a_class_that_does_not_exist_here_is_caught_as_what_it_derives_from(bases, matched):
    described = TaskError(code="remote_task_error", message="boom", type_name="Gone", module="nowhere", bases=bases)
    rebuilt = rebuild_exception(described, "t2")
    assert isinstance(rebuilt, RemoteTaskError)
    assert isinstance(rebuilt, matched)
    assert (str(rebuilt), rebuilt.task_id, type(rebuilt).__name__) == ("Gone: boom", "t2", "RemoteTaskError")
    again = pickle.loads(pickle.dumps(rebuilt))
    assert (type(again), str(again), again.details) == (type(rebuilt), str(rebuilt), rebuilt.details)


def test_only_builtin_classes_are_taken_from_whoever_is_not_trusted():
    described = describe_exception(raised(Own("x")))
    rebuilt = rebuild_exception(described, data_only=True)
    assert isinstance(rebuilt, RemoteTaskError)
    assert isinstance(rebuilt, KeyError)
    assert not isinstance(rebuilt, Own)


def test_parts_that_cannot_travel_are_left_or_shown():
    error = NeedsTwo(1, 2)
    error.lock = threading.Lock()
    error.args = ("text", threading.Lock())
    _, rebuilt = travel(error)
    assert (type(rebuilt).__name__, rebuilt.one, hasattr(rebuilt, "lock")) == ("NeedsTwo", 1, False)
    assert rebuilt.args[0] == "text"
    assert rebuilt.args[1].startswith("<unlocked _thread.lock")


def test_a_frame_that_follows_itself_is_counted():
    def dive(n):
        return dive(n + 1)

    try:
        dive(0)
    except RecursionError as error:
        frames = describe_exception(error).frames
    assert [(frame.name, frame.times > 500) for frame in frames][-1] == ("dive", True)
    assert len(frames) <= 3


@pytest.mark.parametrize("of", [0, 5, -2])
def test_a_description_that_contradicts_itself_does_no_harm(of):
    inner = TaskError(code="remote_task_error", message="x", type_name="ValueError", module="builtins")
    related = [RelatedError(how="member", of=of, error=inner)]
    rebuilt = rebuild_exception(
        TaskError(code="remote_task_error", message="y", type_name="ValueError", module="builtins", related=related)
    )
    assert rebuilt.funcx.related == ()
    assert type(rebuilt) is ValueError


def test_what_is_known_of_the_place_has_names():
    details = {"locals": {"a": "1"}, "hostname": "nid1", "endpoint": "theta", "memory_peak": 5, "stdout_tail": "out"}
    known = rebuild_exception(TaskError(code="remote_task_error", message="x", details=details), "t").funcx
    assert (known.locals, known.host, known.endpoint, known.memory_peak, known.stdout) == (
        {"a": "1"},
        "nid1",
        "theta",
        5,
        "out",
    )
    odd = rebuild_exception(TaskError(code="remote_task_error", message="x", details={"locals": 3}), "t").funcx
    assert (odd.locals, odd.host, odd.memory_peak, odd.stdout) == ({}, "", None, "")
