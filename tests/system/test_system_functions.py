"""What functions do to a fabric, and what their user is told. Rows of the table in docs/reliability.md."""

import random
import signal
import time
from concurrent.futures import CancelledError

import pytest

from funcx_core import errors

TEXTS = ["\u20ac", "\U0001f600\U0001f680", "\u202eright to left", "a\0b", "\ud800 alone", "line\r\nline\u2028"]


def add(a, b):
    return a + b


def divide(a, b):
    return a / b


def test_an_exception_names_the_users_line(fabric):
    """U01"""
    with fabric.executor() as executor:
        error = executor.submit(divide, 1, 0).exception(30)
    assert type(error) is ZeroDivisionError
    assert str(error) == "division by zero"
    assert f'{__file__}", line {divide.__code__.co_firstlineno + 1}' in error.funcx.traceback
    assert "funcx_endpoint" not in error.funcx.traceback


def raise_from_a_module_of_the_worker(folder):
    import py_compile
    import sys
    from pathlib import Path

    # Compiled code is all there is of it: classes of modules in source travel along.
    source = Path(folder) / "source.py"
    source.write_text("class Strange(Exception): pass\n")
    py_compile.compile(str(source), str(Path(folder) / "only_on_the_worker.pyc"))
    sys.path.insert(0, folder)
    import only_on_the_worker

    raise only_on_the_worker.Strange("who am I?")


def test_an_exception_of_a_class_that_is_not_here_is_told_in_words(fabric, tmp_path):
    """U02"""
    with fabric.executor() as executor:
        error = executor.submit(raise_from_a_module_of_the_worker, str(tmp_path)).exception(30)
    assert type(error) is errors.RemoteTaskError
    assert (error.details["type_name"], error.details["module"]) == ("Strange", "only_on_the_worker")
    assert str(error) == "Strange: who am I?"
    assert "raise only_on_the_worker.Strange" in error.details["traceback"]


def raise_something_nasty(kind):
    class NeedsTwo(Exception):
        def __init__(self, one, two):
            super().__init__(f"{one}-{two}")

    class BadText(Exception):
        def __str__(self):
            raise RuntimeError("no text")

    class BadReduce(Exception):
        def __reduce__(self):
            raise RuntimeError("no pickle")

    class Sealed(Exception):
        def __setattr__(self, name, value):
            raise AttributeError("sealed")

    nasty = {"two": NeedsTwo(1, 2), "text": BadText(), "reduce": BadReduce(), "sealed": Sealed()}
    raise nasty[kind]


@pytest.mark.parametrize(
    ("kind", "name"), [("two", "NeedsTwo"), ("text", "BadText"), ("reduce", "BadReduce"), ("sealed", "Sealed")]
)
def test_a_nasty_exception_is_told_all_the_same(fabric, kind, name):
    """U03"""
    with fabric.executor() as executor:
        error = executor.submit(raise_something_nasty, kind).exception(30)
    told = type(error).__name__ if type(error) is not errors.RemoteTaskError else error.details["type_name"]
    assert told.endswith(name)
    assert name in error.funcx.traceback


def recurse(n):
    return recurse(n + 1) + 1


def raise_a_long_message(size):
    raise ValueError("x" * size)


def test_a_huge_traceback_or_message_is_cut(fabric):
    """U04"""
    with fabric.executor() as executor:
        deep, long = executor.submit(recurse, 0), executor.submit(raise_a_long_message, 50_000_000)
        assert type(deep.exception(30)) is RecursionError
        assert len(deep.exception().funcx.traceback) < 80_000
        assert type(long.exception(60)) is ValueError
        assert len(str(long.exception())) < 80_000


def what_cannot_be_sent(kind):
    import socket
    import sys
    import threading
    from pathlib import Path

    return {
        "lock": threading.Lock,
        "generator": lambda: (n for n in ()),
        "frame": sys._getframe,
        "socket": socket.socket,
        "file": Path("/dev/null").open,
        "thread": threading.current_thread,
    }[kind]()


@pytest.mark.parametrize("kind", ["lock", "generator", "frame", "socket", "file", "thread"])
def test_a_result_that_cannot_be_sent_is_named(fabric, kind):
    """U05"""
    with (
        fabric.executor() as executor,
        pytest.raises(errors.ResultNotSerializable, match=r"lock|generator|frame|socket|TextIOWrapper"),
    ):
        executor.submit(what_cannot_be_sent, kind).result(30)


def return_what_only_the_worker_knows(folder):
    import py_compile
    import sys
    from pathlib import Path

    source = Path(folder) / "source.py"
    source.write_text("class Value: pass\n")
    py_compile.compile(str(source), str(Path(folder) / "values_of_the_worker.pyc"))
    sys.path.insert(0, folder)
    import values_of_the_worker

    return values_of_the_worker.Value()


def test_a_result_that_cannot_be_loaded_here_keeps_its_bytes(fabric, tmp_path):
    """U06"""
    with fabric.executor() as executor:
        future = executor.submit(return_what_only_the_worker_knows, str(tmp_path))
        with pytest.raises(errors.ResultLoadError, match="values_of_the_worker") as raised:
            future.result(30)
    assert b"values_of_the_worker" in raised.value.details["raw"]


def die(how):
    import ctypes
    import os

    {"abort": os.abort, "segv": lambda: ctypes.string_at(0), "exit": lambda: os._exit(7)}[how]()


@pytest.mark.parametrize(
    ("how", "sign", "exitcode"), [("abort", signal.SIGABRT, None), ("segv", signal.SIGSEGV, None), ("exit", None, 7)]
)
def test_a_function_that_kills_its_worker_says_how(fabric, how, sign, exitcode):
    """U09"""
    with fabric.executor() as executor:
        error = executor.submit(die, how).exception(30)
        assert type(error) is errors.WorkerLost
        assert (error.details["signal"], error.details["exitcode"]) == (sign, exitcode)
        assert executor.submit(add, 1, 1).result(30) == 2


def note_and_die(path):
    import os
    from pathlib import Path

    with Path(path).open("a") as file:
        file.write("ran\n")
    os._exit(1)


def test_a_task_that_kills_worker_after_worker_is_poisoned(fabric, tmp_path):
    """U11: three retries are four executions, and the function may be called again."""
    ledger = tmp_path / "ledger"
    with fabric.executor(retry_on_loss=3) as executor:
        error = executor.submit(note_and_die, str(ledger)).exception(60)
        assert type(error) is errors.TaskPoisoned
        assert ledger.read_text() == "ran\n" * 4
        assert executor.submit(add, 1, 1).result(30) == 2


def echo(text):
    print(text)
    return text


def complain(text):
    raise ValueError(text)


@pytest.mark.parametrize("text", TEXTS)
def test_any_text_makes_the_round_trip(fabric, text):
    """U22: as argument, value, output and message of an exception."""
    with fabric.executor() as executor:
        assert executor.submit(echo, text).result(30) == text
        error = executor.submit(complain, text).exception(30)
    assert type(error) is ValueError
    assert str(error) == text


def test_a_function_may_have_any_name(fabric):
    """U22"""
    scope = {}
    exec("def f\u00fc\u00df\u4e16(x):\n    return x\n", scope)
    named = scope["f\u00fc\u00df\u4e16"]
    with fabric.executor() as executor:
        assert executor.submit(named, 1).result(30) == 1


def count_in_a_module():
    import os
    import string

    string.counted = getattr(string, "counted", 0) + 1
    return os.getpid(), string.counted


def test_what_a_task_changes_in_a_module_stays_on_its_worker(fabric):
    """U24: as documented; `max_tasks_per_worker=1` is for those who do not want it."""
    seen = {}
    with fabric.executor() as executor:
        for _ in range(12):
            pid, count = executor.submit(count_in_a_module).result(30)
            seen.setdefault(pid, []).append(count)
    for counts in seen.values():
        assert counts == list(range(counts[0], counts[0] + len(counts)))


def rest(seconds):
    import time

    time.sleep(seconds)
    return seconds


def test_a_cancel_or_the_result_wins_and_never_both(fabric):
    """U25: 200 races around the end of a task."""
    chance = random.Random(25)
    outcomes = {"value": 0, "cancelled": 0}
    with fabric.executor() as executor:
        for _ in range(200):
            future = executor.submit(rest, 0.02)
            time.sleep(chance.uniform(0.0, 0.04))
            future.cancel()
            try:
                assert future.result(30) == 0.02
                outcomes["value"] += 1
            except (CancelledError, errors.TaskCancelled):
                outcomes["cancelled"] += 1
            assert future.done()
        assert executor.submit(add, 1, 1).result(30) == 2
    assert sum(outcomes.values()) == 200
    assert outcomes["cancelled"]
