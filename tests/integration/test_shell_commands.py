"""Commands as real processes, called here: how they end, and that nothing of them is left."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from funcx import ShellFunction
from funcx_core.commands import running_task
from funcx_core.commands.running_task import RunningTask
from funcx_core.errors import UsageError
from tests.support.fabric import eventually


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


def exists(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def pids(*files: str) -> list[int]:
    return [int(eventually(lambda file=file: Path(file).exists() and Path(file).read_text(), file)) for file in files]


def test_outputs_and_exit_code_come_back():
    result = ShellFunction("echo {text:q}; echo wrong >&2; exit 3")(text="a  b; c")
    assert (result.stdout, result.stderr, result.returncode) == ("a  b; c\n", "wrong\n", 3)
    assert result.exception_name == "subprocess.CalledProcessError"
    assert result.cmd == "echo 'a  b; c'; echo wrong >&2; exit 3"
    assert list(Path.cwd().iterdir()) == []


def test_it_is_bash_that_runs_it_and_nobody_asks_for_input():
    result = ShellFunction("set -o pipefail; [[ a == a ]] && cat && (false | true)")()
    assert (result.stdout, result.returncode) == ("", 1)


@pytest.mark.parametrize(("command", "code"), [("kill -9 $$", -9), ("bash -c 'kill -9 $$'; exit $?", 137)])
def test_a_signal_is_told_as_subprocess_and_the_shell_tell_it(command, code):
    assert ShellFunction(command)().returncode == code


def test_after_the_walltime_the_whole_group_is_gone():
    function = ShellFunction(
        "trap 'echo stopped; exit' TERM; sleep 60 & echo $! > child; echo begun; wait", walltime=0.5
    )
    started = time.monotonic()
    result = function()
    assert time.monotonic() - started < 20
    assert (result.returncode, result.exception_name) == (124, "subprocess.TimeoutExpired")
    assert result.stdout == "begun\nstopped\n"
    eventually(lambda: not exists(pids("child")[0]), "the child has ended")


def test_what_ignores_sigterm_is_killed():
    result = ShellFunction("trap '' TERM; echo $$ > pid; while true; do sleep 60; done", walltime=0.2)()
    assert result.returncode == 124
    eventually(lambda: not exists(pids("pid")[0]), "the shell has ended")


def test_an_interrupt_ends_the_group_and_arrives():
    function = ShellFunction("sleep 60 & echo $! > child; echo $$ > shell; wait")
    seen = []

    def interrupt():
        seen.extend(pids("child", "shell"))
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        function()
    eventually(lambda: not any(map(exists, seen)), "both have ended")


def test_what_stays_in_the_background_is_not_waited_for():
    result = ShellFunction("sleep 60 & echo $! > child; echo done")()
    [child] = pids("child")
    try:
        assert (result.stdout, result.returncode) == ("done\n", 0)
        assert exists(child)
    finally:
        os.kill(child, signal.SIGKILL)


def test_a_flood_takes_little_memory_and_is_whole_on_disk():
    result = ShellFunction("head -c 200000000 /dev/zero; echo; seq 5", snippet_lines=3, snippet_bytes=1000)()
    assert result.stdout == "3\n4\n5\n"
    assert Path(result.stdout_path).stat().st_size == 200_000_011
    assert result.stderr_path is None


def test_files_of_ones_own_are_written_in_any_case():
    result = ShellFunction("echo {n}; echo e >&2", stdout="logs/out.txt", stderr="logs/err.txt")(n=1)
    assert (result.stdout, Path("logs/out.txt").read_text(), Path("logs/err.txt").read_text()) == ("1\n", "1\n", "e\n")
    assert result.stdout_path == str(Path("logs/out.txt").resolve())


def test_a_folder_of_its_own_is_removed_only_if_it_is_empty():
    ShellFunction("true", run_in_sandbox=True)()
    assert list(Path.cwd().iterdir()) == []
    ShellFunction("echo x > kept", run_in_sandbox=True)()
    [folder] = Path.cwd().iterdir()
    assert (folder / "kept").read_text() == "x\n"


def test_a_dict_for_clients_without_this_package():
    result = ShellFunction("echo hi", return_dict=True)()
    assert result == {
        "cmd": "echo hi", "stdout": "hi\n", "stderr": "", "returncode": 0, "exception_name": None,
        "stdout_path": None, "stderr_path": None,
    }  # fmt: skip


def test_bytes_that_are_no_text_are_marked():
    assert ShellFunction(r"printf 'a\xffb'")().stdout == "a\ufffdb"


def test_a_command_that_is_too_long_says_where_to_put_it():
    with pytest.raises(UsageError, match="pass what is long in a file"):
        ShellFunction("echo {text}")(text="x" * 1_000_000)


def test_outside_of_a_task_nothing_is_printed_and_inside_it_is(capsys, monkeypatch):
    ShellFunction("echo quiet")()
    monkeypatch.setattr(running_task, "_find", lambda: RunningTask("3f2a"))
    ShellFunction("echo $FUNCX_TASK_ID $GC_TASK_UUID; echo € >&2")()
    assert capsys.readouterr() == ("3f2a 3f2a\n", "€\n")
