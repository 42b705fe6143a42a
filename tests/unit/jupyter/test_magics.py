"""`%%funcx` and `%funcx` in a shell of this process; the cells run in a child process by the worker's own code."""

from __future__ import annotations

import _thread
import subprocess
import sys
import threading
import time

import msgspec
import pytest

from funcx_core.errors import EndpointOffline, RequirementNotMet, ServiceUnavailable, TaskNotFound
from funcx_core.protocol.client import Limits
from funcx_core.protocol.environment import Environment
from funcx_jupyter.display import words
from funcx_jupyter.errors import (
    CaptureError,
    CellInterrupted,
    EnvironmentMismatch,
    LargeInputError,
    MagicArgumentError,
    NotConnectedError,
)
from funcx_jupyter.extension import greeting, load, unload
from funcx_jupyter.session.connection import LogPage
from funcx_jupyter.session.sending import GRACE
from funcx_jupyter.session.state import Session, TaskRecord
from funcx_jupyter.session.watch import PATIENCE
from tests.support.fabric import eventually
from tests.unit.jupyter.fake_service import LOCAL, FakeConnection


def test_a_cell_prints_and_returns(run, shell):
    run("x = 20\ndef helper(a): return a + x")
    ran = run("%%funcx\nprint('hello')\nhelper(1)")
    assert ran.out.startswith("hello\nlocal · ✓ ")
    assert "in: x 5 B, helper() · task" in ran.out
    assert "Out[2]: 21" in ran.out
    assert ran.value == 21
    assert shell.user_ns["_"] == 21


@pytest.mark.parametrize("body", ["print('a'", "x = [1,", 'x = """', "if x:\n        y\n    z"])
def test_an_unfinished_cell_is_a_syntax_error_of_its_own(run, body):
    ran = run(f"%%funcx\n{body}")
    assert isinstance(ran.error, SyntaxError)
    assert "magics.py" not in ran.out


def test_what_cannot_come_back_is_said_once(run):
    error = run("%%funcx -o lock\nimport threading\nlock = threading.Lock()").error
    assert f"{error}" == "`lock` (_thread.lock) cannot be sent back: cannot pickle '_thread.lock' object"


def test_a_semicolon_silences(run):
    assert run("%%funcx -q\n1 + 1;").out == ""


def test_outputs_are_assigned_only_when_the_cell_succeeds(run, shell):
    run("y = 'old'")
    assert run("%%funcx -o y,z\ny = 1\nz = 2\n1 / 0").error is not None
    assert shell.user_ns["y"] == "old"
    assert "z" not in shell.user_ns
    run("%%funcx -o y,z\ny = 1\nz = 2")
    assert (shell.user_ns["y"], shell.user_ns["z"]) == (1, 2)


def test_nothing_else_leaks_back(run, shell):
    run("%%funcx\nsecret = 1")
    assert "secret" not in shell.user_ns


def test_a_star_brings_everything_back(run, shell):
    run("%%funcx -o '*'\na = 1\nfor b in 'xy': pass")
    assert (shell.user_ns["a"], shell.user_ns["b"]) == (1, "y")


def test_an_output_that_was_not_assigned_after_all(run, shell):
    ran = run("%%funcx -o a,b\na = 1\nif not a:\n  b = 1")
    assert isinstance(ran.error, NameError)
    assert "a" not in shell.user_ns


def test_an_output_the_cell_has_nothing_to_do_with(run):
    assert isinstance(run("%%funcx -o nothing\n1").error, CaptureError)


def test_braces_and_dollars_stay(run):
    assert run("%%funcx -q\na = 1\n'{a} $a {{b}}'").value == "{a} $a {{b}}"


def test_the_original_exception_with_the_visible_lines(run):
    run("def boom(n):\n  m = n\n  return 1 / m")
    ran = run("%%funcx\n\nprint('so far')\nboom(0)")
    assert isinstance(ran.error, ZeroDivisionError)
    assert "so far" in ran.out
    assert "Cell In[2], line 4" in ran.out
    assert "----> 4 boom(0)" in ran.out
    assert "Cell In[1], line 3, in boom" in ran.out
    assert "----> 3   return 1 / m" in ran.out
    assert "ZeroDivisionError: division by zero\n(local, task " in ran.out
    assert "run_cell_magic" not in ran.out


def test_an_exception_of_the_notebooks_own_class_can_be_caught(run):
    run("class Mine(ValueError):\n  def __init__(self, a, b):\n    super().__init__(a)\n    self.b = b")
    cell = "try:\n  get_ipython().run_cell_magic('funcx', '', 'raise Mine(1, 2)')\nexcept Mine as e:\n  got = type(e) is Mine, e.b"
    run(cell)
    assert run("got").value == (True, 2)


def test_frames_of_libraries_are_named_in_one_line_or_shown(run):
    short = run("%%funcx\nimport json\njson.loads('{')").out
    assert "(raised in json/decoder.py:" in short
    assert "scan_once" not in short
    assert "scan_once" in run("%%funcx -v\nimport json\njson.loads('{')").out


def test_a_module_that_is_not_there(run):
    ran = run("%%funcx\nimport not_installed_anywhere")
    assert isinstance(ran.error, ModuleNotFoundError)
    assert "`not_installed_anywhere` is not installed on local." in ran.out


def test_a_syntax_error_is_found_here(run, connection):
    sent = len(connection.specs)
    ran = run("%%funcx\nx = 1\ny = = 2")
    assert isinstance(ran.error, SyntaxError)
    assert "line 3" in ran.out
    assert "prepare" not in ran.out
    assert len(connection.specs) == sent


def test_return_outside_of_a_function_is_found_here(run):
    assert isinstance(run("%%funcx\nreturn 1").error, SyntaxError)


@pytest.mark.parametrize(
    ("cell", "error"),
    [("%%funcx --bad\n1", MagicArgumentError), ("%%funcx\nnowhere", CaptureError), ("%funcx sing", MagicArgumentError)],
)
def test_mistakes_are_shown_in_one_line(run, cell, error):
    ran = run(cell)
    assert isinstance(ran.error, error)
    assert ran.out == f"{error.__name__}: {ran.error}\n"


def test_inputs_that_are_too_large_name_the_largest(run, connection):
    connection.accepts = Limits(max_payload=100_000, max_blob=0)  # a service without a store for large values
    run("small = 1\nbig = bytes(200_000)")
    ran = run("%%funcx\nsmall, big")
    assert isinstance(ran.error, LargeInputError)
    assert "`big` is 200 kB" in str(ran.error)


def test_outputs_that_can_be_neither_sent_nor_kept_are_named(run, connection):
    connection.accepts = Limits(max_result=200_000, max_blob=0)
    ran = run("%%funcx -o big\nbig = bytes(30_000_000)")
    assert type(ran.error).__name__ == "ResultTooLarge"
    assert "`big` has more than the 134,464 bytes that come back" in str(ran.error)
    assert "and it cannot be kept: `big` has 30,000,0" in str(ran.error)


def test_a_value_that_cannot_come_back_is_shown_all_the_same(run):
    ran = run("%%funcx\n(n for n in [1])")
    assert "<generator object" in ran.out
    assert "not sent back" in repr(ran.value)


def test_options_reach_the_task(run, connection):
    run("%%funcx -t 30 --retries 2\n1")
    assert (connection.options[-1].walltime, connection.options[-1].retry_on_loss) == (30.0, 2)


def page(seq, text, kind="stdout", *, is_over=False):
    return LogPage([{"seq": seq, "kind": kind, "at": 0, "body": text}], seq, is_over=is_over)


def test_a_log_is_followed_until_the_task_ends(run, connection):
    run("%%funcx -n followed\n1")
    connection.pages = [
        page(1, "one\n"),
        LogPage([], 1, is_over=False),
        page(2, "oops\n", "stderr"),
        page(3, '{"bytes": 9, "lines": 1340}', "truncated"),
        page(4, '{"bars": [{"id": 1, "n": 2, "total": 2, "state": "done"}]}', "progress", is_over=True),
    ]
    connection.asked.clear()
    ran = run("%funcx logs followed -f")
    assert ran.error is None
    gone = "\n… 1 340 lines gone: an endpoint keeps the beginning and the end of what a task prints (`max_output`)\n"
    assert ran.out == "one\n" + gone
    assert ran.err == "oops\n100%|██████████| 2/2 [00:00<?, ?] ✓\n"
    assert [after for after, _ in connection.asked] == [0, 1, 1, 2, 3, 4]
    assert {wait for _, wait in connection.asked} == {10.0}


def test_an_interrupt_ends_following_and_nothing_else(run, connection, monkeypatch):
    run("%%funcx -n followed\n1")
    asked = iter([page(1, "one\n")])

    def log(*_, **__):
        for told in asked:
            return told
        raise KeyboardInterrupt

    monkeypatch.setattr(connection, "log", log)
    connection.cancelled.clear()
    ran = run("%funcx logs followed -f")
    assert ran.error is None
    assert "one\n" in ran.out
    assert "Stopped following. Task" in repr(ran.value)
    assert connection.cancelled == []


def press_when(begun):
    """Interrupt this process when the cell has begun, and what it printed has had time to arrive."""

    def press():
        eventually(begun.exists, "the cell has begun", timeout=60)
        time.sleep(0.5)
        _thread.interrupt_main()

    pressing = threading.Thread(target=press)
    pressing.start()
    return pressing


def test_an_interrupt_stops_the_task_and_keeps_what_was_printed(run, connection, tmp_path):
    pressing = press_when(begun := tmp_path / "begun")
    ran = run(f"%%funcx\nimport time\nprint('begun', flush=True)\nopen({str(begun)!r}, 'w').close()\ntime.sleep(30)")
    pressing.join()
    assert isinstance(ran.error, CellInterrupted)
    assert isinstance(ran.error, KeyboardInterrupt)
    assert ran.out.startswith("begun\nlocal · ■ stopped after")
    assert connection.cancelled[-1] == ran.error.task_id


def test_an_interrupt_of_what_ends_well_all_the_same_says_where_the_value_is(run, connection, tmp_path):
    pressing = press_when(begun := tmp_path / "begun")
    begins = f"open({str(begun)!r}, 'w').close()"
    ran = run(f"%%funcx\nimport time\ntry:\n    {begins}\n    time.sleep(30)\nexcept KeyboardInterrupt:\n    pass\n7")
    pressing.join()
    assert isinstance(ran.error, CellInterrupted)
    short = words.short_id(ran.error.task_id)
    assert f"{ran.error}".startswith(
        f"Interrupted, but the task went on to its end. `%funcx result {short}` has its value"
    )
    assert "local · ✓ " in ran.out


def test_an_interrupt_before_anything_is_sent_says_so_in_one_line(run, connection, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    before = len(connection.specs)
    with monkeypatch.context() as patch:
        patch.setattr("funcx_jupyter.magics.prepare", interrupted)
        ran = run("%%funcx\n1")
    assert isinstance(ran.error, CellInterrupted)
    assert ran.error._render_traceback_() == ["CellInterrupted: Interrupted. The cell was not sent."]
    monkeypatch.setattr(connection, "limits", interrupted)
    assert str(run("%%funcx\n1").error) == "Interrupted. The cell was not sent."
    assert len(connection.specs) == before


def test_an_interrupt_while_a_map_is_sent_says_so_in_one_line(run, connection, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(connection, "submit_map", interrupted, raising=False)
    ran = run("%%funcx --map n=[1,2]\nn")
    assert isinstance(ran.error, CellInterrupted)
    (line,) = ran.error._render_traceback_()
    assert line.startswith("CellInterrupted: Interrupted while the map was being sent. What was sent of it was told")


def test_an_interrupt_while_results_are_loaded_says_how_to_get_them(run, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("funcx_jupyter.session.following.opened", interrupted)
    ran = run("%%funcx -o y\ny = 1")
    assert isinstance(ran.error, CellInterrupted)
    assert f"`%funcx result {words.short_id(ran.error.task_id)} -o` loads it." in f"{ran.error}"
    assert "local · ✓ " in ran.out


def test_a_second_interrupt_detaches(run, connection, monkeypatch):
    connection.hold = True
    before, heard = len(connection.specs), threading.Event()
    monkeypatch.setattr(connection, "cancel", lambda task_id: heard.set())

    def press_twice() -> None:
        eventually(lambda: len(connection.specs) > before, "the cell is sent", timeout=60)
        time.sleep(0.3)
        _thread.interrupt_main()
        heard.wait(60)  # two presses at the same moment are one
        time.sleep(0.3)
        _thread.interrupt_main()

    presser = threading.Thread(target=press_twice)
    presser.start()
    ran = run("%%funcx\n1")
    presser.join()
    assert isinstance(ran.error, CellInterrupted)
    short = words.short_id(ran.error.task_id)
    assert str(ran.error) == (
        f"Detached from {short} on local, which was told to stop. `%funcx attach {short}` shows it again, "
        f"`%funcx cancel {short}` stops it."
    )
    assert "local · detached after 00:0" in ran.out
    assert PATIENCE > 2 * GRACE == 2 * connection.options[-1].interrupt_grace


def test_the_first_interrupt_detaches_where_the_cell_says_so(run, connection):
    connection.hold = True
    before, cancelled = len(connection.specs), len(connection.cancelled)

    def press() -> None:
        eventually(lambda: len(connection.specs) > before, "the cell is sent", timeout=60)
        time.sleep(0.3)
        _thread.interrupt_main()

    presser = threading.Thread(target=press)
    presser.start()
    ran = run("%%funcx --on-interrupt detach\n1")
    presser.join()
    assert isinstance(ran.error, CellInterrupted)
    short = words.short_id(ran.error.task_id)
    assert str(ran.error).startswith(f"Detached from {short} on local, which goes on. `%funcx attach {short}`")
    assert len(connection.cancelled) == cancelled


def test_packages_that_a_cell_asks_for(run, connection):
    connection.reported = [Environment(python_version="3.12.1", packages={"numpy": "1.26.4"})]
    sent = len(connection.specs)
    ran = run("%%funcx --requires 'numpy>=2'\n1")
    assert isinstance(ran.error, EnvironmentMismatch)
    assert str(ran.error).startswith(
        "`numpy>=2` is not met on local: numpy 1.26.4 is installed there. `%funcx env local"
    )
    assert "needs:   numpy>=2: not met. `numpy>=2`" in run("%%funcx --explain --requires 'numpy>=2'\n1").out
    assert "needs:   numpy<2: met" in run("%%funcx --explain --requires 'numpy<2'\n1").out
    assert len(connection.specs) == sent


def test_packages_of_an_endpoint_that_has_not_reported_are_checked_where_the_cell_runs(run):
    assert "needs:   msgspec: checked where it runs" in run("%%funcx --explain --requires msgspec\n1").out
    met = run("%%funcx --requires msgspec\n1")
    assert (met.value, "· requires msgspec · task" in met.out) == (1, True)
    ran = run("%%funcx --requires 'msgspec>=1000'\nprint('never')")
    assert isinstance(ran.error, RequirementNotMet)
    assert str(ran.error).startswith("`msgspec>=1000` is not met on ")
    assert "never" not in ran.out


def test_a_cell_in_a_container_is_not_judged_by_what_is_outside(run, connection):
    connection.reported = [Environment(python_version="3.12.1", modules=["numpy"], packages={"numpy": "1.26.4"})]
    container = "11111111-1111-7111-8111-111111111111"
    told = run(f"%%funcx --explain --container {container} --requires 'numpy>=2'\n1").out
    assert f"where:   in container {container}\nneeds:   numpy>=2: checked where it runs" in told
    ran = run(f"%%funcx --container {container}\nimport msgspec\n1")
    assert connection.options[-1].container_id == container
    assert "· container 8111 · task" in ran.out


def test_explain_sends_nothing(run, connection):
    sent = len(connection.specs)
    run("import math as m\nx = 1")
    out = run("%%funcx --explain\nm.sqrt(x)").out
    assert "Would run on local (here, Python 3.11)" in out
    assert "imports: math" in out
    assert len(connection.specs) == sent


def test_the_endpoint_in_use(run, magics, connection, monkeypatch):
    theta = msgspec.structs.replace(LOCAL, name="theta")
    monkeypatch.setattr(connection, "rows", [LOCAL, theta])
    assert "Cells run on theta from now on" in run("%funcx use theta").out
    assert run("%%funcx\n1").out.startswith("theta · ✓")
    assert run("%%funcx local\n1").out.startswith("local · ✓")


def test_verbs_about_tasks(run, magics, connection):
    run("%%funcx\nprint('x')\n40 + 2")
    task = next(iter(magics.session.tasks)).split("-")[3]
    assert run(f"%funcx result {task}").value == 42
    connection.pages = [page(1, "printed\n"), page(2, "more\n")]
    assert run(f"%funcx logs {task}").out.endswith("printed\nmore\n")
    assert "has printed nothing" in run(f"%funcx logs {task}").out
    assert "done" in run("%funcx").out
    assert isinstance(run("%funcx result zzzz").error, TaskNotFound)
    assert isinstance(run("%funcx result").error, MagicArgumentError)
    for verb in ("use", "endpoints", "status", "result", "cancel", "logs", "help"):
        assert f"%funcx {verb}" in run("%funcx help").out


def test_a_cell_is_run_again_with_the_inputs_it_had(run, magics, connection, shell, monkeypatch):
    run("n = 20")
    run("%%funcx -n twice -o y\nprint('running')\ny = 2 * n\ny + 1")
    run("n, y = 0, None")
    again = run("%funcx rerun twice")
    assert again.value == 41
    assert again.out.startswith("running\n")
    assert shell.user_ns["y"] == 40
    theta = msgspec.structs.replace(LOCAL, name="theta", endpoint_id="f" * 36)
    monkeypatch.setattr(connection, "rows", [LOCAL, theta])
    assert run("%funcx rerun twice -e theta").out.startswith("running\ntheta · ✓ ")
    task = run("%funcx rerun twice -a").value
    assert task.result(30) == 41
    assert shell.user_ns["twice"] is task
    assert isinstance(run("%funcx rerun zzzz").error, TaskNotFound)
    assert "%funcx rerun TASK [-e ENDPOINT] [-a]" in run("%funcx help rerun").out


def test_an_asynchronous_cell_where_nothing_can_be_shown_later(run, shell):
    ran = run("%%funcx -a -n job -o z\nprint('heard later')\nz = 1\n'value'")
    assert ran.out.startswith("Out[1]: Task(job, ")
    assert "heard later" not in ran.out
    assert "job done" in run("%funcx wait job").out
    assert shell.user_ns["z"] == 1
    assert run("job.result()").value == "value"


def test_explain_says_what_went_with_a_task_and_how_long_it_took(run, magics):
    assert "No cell was sent yet" in run("%funcx explain").out
    run("import math as m\nx = 1")
    assert "time:    not known: this cell has not run here yet" in run("%%funcx --explain\nm.sqrt(x)").out
    run("%%funcx -t 30 --retries 2 -o r\nr = m.sqrt(x)")
    told = run("%funcx explain").out
    assert "ran `r = m.sqrt(x)` on local: done." in told
    assert "in:      x" in told
    assert "imports: math" in told
    assert "limit:   30 s\nif lost: run again up to 2 times" in told
    assert " s the last time, on local" in run("%%funcx --explain -o r\nr = m.sqrt(x)").out


def test_a_module_that_the_endpoint_does_not_have(run, connection, magics):
    connection.reported = [Environment(python_version="3.8.1", modules=["numpy"])]
    sent = len(connection.specs)
    ran = run("%%funcx\n\nimport xgboost\nprint(1)")
    assert isinstance(ran.error, EnvironmentMismatch)
    assert "`xgboost` (line 3) is not installed on local." in str(ran.error)
    assert len(connection.specs) == sent
    run("import numpy as np, msgspec as m")
    assert "`msgspec` (line 2) is not installed" in str(run("%%funcx\nm.json").error)
    warned = run("%%funcx --env warn\nm.json\n1")
    assert "`msgspec` (line 2) is not installed" in warned.out
    assert warned.value == 1
    assert "not installed" not in run("%%funcx --env off\nm.json\n1").out
    connection.reported = [Environment(python_version="3.8.1", modules=["numpy", "msgspec"])]  # installed since
    assert run("%%funcx\nm.json\n2").value == 2


def test_a_name_that_is_not_defined(run):
    assert str(run("%%funcx\n\n\n\nfoo").error) == "`foo` (line 5) is not defined here and not assigned in the cell."
    assert isinstance(run("%%funcx --env off\nfoo").error, NameError)  # the cell was let through, and raised there


def test_what_cannot_be_sent(run):
    run("import sqlite3\nconn = sqlite3.connect(':memory:')")
    assert str(run("%%funcx\n\nconn.execute('select 1')").error) == (
        "`conn` (sqlite3.Connection) cannot be sent. It is used on line 3. Create it inside the cell, or exclude it with -x conn."
    )


def test_a_task_is_its_value_in_cells_and_nowhere_else(run):
    run("%%funcx -a -n sim\n1")
    run("%funcx wait")
    assert run("%%funcx\n\nsim + 1").value == 2
    run("pair = [sim]")
    assert run("%%funcx\npair").value == [1]
    assert str(run("import pickle\npickle.dumps(sim)").error) == (
        "sim is a task, not the value itself. `sim.result()` is the value."
    )


def test_another_python_is_said_once(run, connection):
    connection.reported = [Environment(python_version="3.8.1", modules=["numpy"], images={"ann/tools": "sha256:1a"})]
    assert "local has Python 3.8, this kernel" in run("%%funcx\n1").out
    assert "has Python 3.8" not in run("%%funcx\n1").out
    told = run("%funcx env").out
    assert "CPython 3.8.1 · 0 packages" in told
    assert "ann/tools is sha256:1a" in told
    assert "msgspec" in run("%funcx env local --diff").out


AWAY = msgspec.structs.replace(LOCAL, name="theta", endpoint_id="f" * 36, is_online=False, last_seen=840.0)


def test_an_endpoint_that_is_offline(run, connection, monkeypatch):
    monkeypatch.setattr(connection, "rows", [LOCAL, AWAY])
    ran = run("%%funcx theta\n1")
    assert isinstance(ran.error, EndpointOffline)
    assert str(ran.error).startswith("theta is offline (last seen 14 min ago, host here). Online now: local. Use")
    ran = run("%%funcx theta --fallback local\n1")
    assert ran.out.startswith("theta is offline: running on local instead.\n")
    assert ran.value == 1
    assert "instead" not in run("%%funcx local --fallback theta\n1").out


def test_waiting_for_an_endpoint_has_an_end(run, connection, monkeypatch):
    monkeypatch.setattr(connection, "rows", [LOCAL, AWAY])
    monkeypatch.setattr(connection, "task", lambda task_id: {"task_id": task_id, "status": "waiting-for-ep"})
    connection.hold = True
    error = run("%%funcx theta --wait-endpoint 0.2\n1").error
    assert isinstance(error, EndpointOffline)
    assert str(error) == "theta did not come online within 0.2 s. The cell was not run."


def test_stopping_tasks_by_name_or_all_of_them(run, connection, monkeypatch):
    stopped = []
    monkeypatch.setattr(connection, "cancel", stopped.append)
    connection.hold = True
    assert "Name the tasks to stop" in str(run("%funcx cancel").error)
    assert "No task of this kernel" in run("%funcx cancel --all").out
    for name in ("one", "two"):
        run(f"%%funcx -a -n {name}\n'{name}'")
    run("%funcx cancel one")
    assert len(stopped) == 1
    assert "Asked tasks " in run("%funcx cancel --all").out
    assert len(stopped) == 3


def test_completion(shell, magics):
    from funcx_jupyter.completion import Completer

    completer = Completer(magics.session)
    completer.install(shell)
    shell.user_ns["dataframe"] = 1
    try:
        assert ("local", "endpoint") in completer.complete("%%funcx lo")
        assert ("--retries", "option") in completer.complete("%%funcx local --re")
        assert ("dataframe", "variable") in completer.complete("%%funcx -o data")
        assert ("dataframe", "variable") in completer.complete("%%funcx -o x,data")
        assert ("endpoints", "verb") in completer.complete("%funcx en")
        assert completer.complete("%%funcx local lo") == []
        assert ("local", "endpoint") in completer.complete("%%funcx -t 5 lo")
        magics.session.remember(TaskRecord(task_id="a-b-c-3f2a-e", endpoint="local", cell="f()", name="sim"))
        assert completer.complete("%funcx rerun ") == [("sim", "task"), ("3f2a", "task")]
        assert completer.complete("%%funcx local --after s") == [("sim", "task")]
        assert completer.complete("%%funcx local --after sim,3") == [("3f2a", "task")]
        assert completer.complete("%funcx rerun sim -e l") == [("local", "endpoint")]
        assert ("-e", "option") in completer.complete("%funcx rerun sim -")
        assert completer.complete("%funcx rerun sim ") == []
        assert completer.complete("%funcx wait sim 3") == [("3f2a", "task")]
        assert ("rerun", "verb") in completer.complete("%funcx help re")
        assert completer.complete("x = lo") == []
        assert ("dataframe", "variable") in completer.complete("v = %funcx local data")
        assert ("dataframe", "variable") in completer.complete("%funcx local len(data")
        assert completer.complete("%funcx local dataframe.sh") == []
        assert completer.complete("%funcx config env s") == [("strict", "value")]
        assert ("local", "endpoint") in completer.complete("%funcx config fallback ")
    finally:
        completer.uninstall(shell)


def test_loading_and_unloading_twice(shell, capsys):
    load(shell)
    load(shell)
    assert capsys.readouterr().out.count("funcX 0") == 1
    unload(shell)
    unload(shell)
    assert "funcx" not in shell.magics_manager.magics["cell"]


def test_greetings(connection):
    assert greeting(Session(lambda: connection)).endswith(
        "service http://127.0.0.1:1 · 1 endpoint online (local) · default: local"
    )

    def nothing():
        raise NotConnectedError("No funcX service is configured. Start one here with `funcx up`.")

    assert greeting(Session(nothing)).endswith("· No funcX service is configured. Start one here with `funcx up`.")

    class Gone(FakeConnection):
        def endpoints(self, *, patiently=True):
            raise ServiceUnavailable("Cannot reach it.")

    assert greeting(Session(Gone)).endswith("· Cannot reach it.")


def test_importing_needs_no_ipython():
    code = "import funcx_jupyter, sys; assert not {'IPython', 'ipywidgets', 'traitlets'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=20)


def test_an_endpoint_that_takes_no_staged_inputs_has_them_inside_the_cell(run, connection, shell, monkeypatch):
    old = msgspec.structs.replace(LOCAL, features=frozenset(), version="0.0.9")
    monkeypatch.setattr(connection, "rows", [old])
    monkeypatch.setattr(connection, "accepts", Limits(max_payload=5_000_000))
    run("text = 'x' * 2_000_000")
    assert run("%%funcx local\nlen(text)").value == 2_000_000
    assert connection.specs[-1].blobs == []
    run("text = 'x' * 6_000_000")
    error = run("%%funcx local\nlen(text)").error
    assert isinstance(error, LargeInputError)
    assert str(error).startswith(
        "`text` is 6.0 MB. Endpoint 'local' runs funcX 0.0.9, which cannot take inputs that are staged"
    )
