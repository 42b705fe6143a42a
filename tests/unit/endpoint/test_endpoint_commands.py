"""The commands that need no service and no agent, as their user sees them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import uuid

import msgspec
import pytest
from click.testing import CliRunner

from funcx_core.logs import Level
from funcx_endpoint import endpoint_report, lifecycle, templates
from funcx_endpoint.cli import main
from funcx_endpoint.folder import AgentLock, Status, endpoint_folder
from funcx_endpoint.lifecycle import _grace


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    for name in ("FUNCX_SERVICE_ADDRESS", "FUNCX_SDK_ENVIRONMENT", "FUNCX_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("FUNCX_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def cli(*arguments, **options):
    return CliRunner().invoke(main, list(arguments), **options)


@pytest.fixture
def folder():
    cli("configure", "theta")
    return endpoint_folder("theta")


def commands(group=main, path=()):
    yield path
    for name, command in getattr(group, "commands", {}).items():
        yield from commands(command, (*path, name))


@pytest.mark.parametrize("path", list(commands()), ids=" ".join)
def test_every_command_has_help_by_its_short_form(path):
    done = cli(*path, "-h")
    assert done.exit_code == 0
    first = done.output.split("\n\n")[1].strip()
    assert first[0].isupper()
    assert done.output.startswith("Usage: main " + " ".join(path))


def test_the_commands_are_those_that_are_documented():
    assert set(main.commands) >= {
        "init", "configure", "start", "stop", "restart", "list", "status", "delete", "login", "logout", "whoami", "version",
    }  # fmt: skip


def test_init_makes_the_default_endpoint_and_may_be_repeated(home):
    done = cli("init")
    assert done.exit_code == 0
    assert "No funcX service is configured. Start one here with `funcx up`" in done.output
    (home / "default" / "config.py").write_text("mine")
    (home / "config.py").write_text("mine")
    assert cli("init").exit_code == 0
    assert {path.read_text() for path in (home / "config.py", home / "default" / "config.py")} == {"mine"}
    assert "default" in cli("list").output
    assert len(cli("list").output.splitlines()) == 2


def test_init_says_what_comes_next(monkeypatch):
    monkeypatch.setenv("FUNCX_SERVICE_ADDRESS", "http://127.0.0.1:9/v2")
    assert "With Globus: funcx-endpoint login" in cli("init").output
    monkeypatch.setenv("FUNCX_TOKEN", "secret")
    said = cli("init").output
    assert "They register with http://127.0.0.1:9/v2. Start the endpoint: funcx-endpoint start" in said
    assert "secret" not in said


def test_configure_takes_a_template(home):
    done = cli("configure", "theta", "--template", "slurm")
    assert "Fill in what begins with YOUR_, then start it with: funcx-endpoint start theta" in done.output
    assert (home / "theta" / "config.py").read_text() == templates.text("slurm")


@pytest.mark.parametrize("name", ["config.py", "config.yaml"])
def test_configure_takes_a_file(home, tmp_path, name):
    (tmp_path / name).write_text("# mine\n")
    done = cli("configure", "theta", "--endpoint-config", str(tmp_path / name))
    assert done.exit_code == 0, done.output
    assert (home / "theta" / name).read_text() == "# mine\n"
    assert (home / "theta" / name).stat().st_mode & 0o777 == 0o600
    again = cli("configure", "theta")
    assert f"configured already: edit {home / 'theta' / name}" in again.output


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--template", "slrum"], 1, "There is no template 'slrum'. Did you mean 'slurm'?"),
        (["--endpoint-config", "not-there.py"], 2, "does not exist"),
        (["--endpoint-config", __file__.replace(".py", ".pyx")], 2, "does not exist"),
        (["--endpoint-config", __file__, "--template", "slurm"], 2, "stand alone"),
    ],
)
def test_what_configure_cannot_use(arguments, code, said, home):
    done = cli("configure", "theta", *arguments)
    assert (done.exit_code, said in done.output) == (code, True), done.output
    assert not (home / "theta").exists()


def test_configure_takes_no_other_kind_of_file(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    done = cli("configure", "theta", "--endpoint-config", str(tmp_path / "config.json"))
    assert done.exit_code == 1
    assert "its name ends in neither .py nor .yaml" in done.output


def test_templates_are_listed_and_printed():
    assert "frontera      Frontera, Texas Advanced Computing Center." in cli("templates").output
    assert cli("templates", "gpu").output == templates.text("gpu")
    assert "successor is 'polaris'" in cli("templates", "theta").output


def test_delete_asks_and_deletes(folder):
    for answer in ("n\n", ""):  # the second is what a script without a terminal gives
        assert "Nothing was deleted. To delete without a question: --yes" in cli("delete", "theta", input=answer).output
    assert folder.exists
    assert cli("delete", "theta", "--yes").output == "Endpoint 'theta' is deleted.\n"
    assert not folder.path.exists()
    assert "There is no endpoint 'theta'" in cli("delete", "theta", "--yes").output
    assert "There is no endpoint 'theta'" in cli("hold", "theta", "3f2a9c").output


def test_an_endpoint_that_could_not_start_again_is_not_stopped(folder, monkeypatch):
    (folder.path / "config.py").write_text("config = Confg()\n")
    monkeypatch.setattr(lifecycle, "stop", lambda *_, **__: pytest.fail("it was stopped"))
    assert "Confg" in cli("restart", "theta").output


def test_an_endpoint_that_runs_is_not_deleted(folder):
    lock = AgentLock(folder.lock)
    lock.acquire()
    assert "Run: funcx-endpoint stop theta" in cli("delete", "theta", "--yes").output
    lock.release()
    assert folder.exists


@pytest.mark.parametrize("command", [("stop", "--remote"), ("delete", "--yes", "--remote")])
def test_the_service_does_not_know_an_endpoint_that_was_never_started(folder, command, monkeypatch):
    monkeypatch.setenv("FUNCX_SERVICE_ADDRESS", "http://127.0.0.1:9/v2")
    monkeypatch.setenv("FUNCX_TOKEN", "x")
    done = cli(*command, "theta")
    assert (done.exit_code, "was never started" in done.output) == (1, True), done.output
    assert folder.exists


def test_whoami_without_a_service_or_a_token(monkeypatch):
    assert "No funcX service is configured" in cli("whoami").output
    assert "No token for http://127.0.0.1:9/v2 is known" in cli("whoami", "http://127.0.0.1:9").output
    monkeypatch.setenv("FUNCX_TOKEN", "x")
    done = cli("whoami", "http://127.0.0.1:9")
    assert (done.exit_code, "127.0.0.1:9" in done.output) == (1, True), done.output


def test_login_and_logout_without_a_terminal_or_a_service(monkeypatch):
    assert "No funcX service is configured" in cli("login").output
    assert "No funcX service is configured" in cli("logout").output
    done = cli("login", "http://127.0.0.1:9")
    assert (done.exit_code, "Cannot reach http://127.0.0.1:9/" in done.output) == (1, True), done.output
    assert cli("logout", "http://127.0.0.1:9").output == "What was saved for http://127.0.0.1:9/v2 is forgotten.\n"


def test_stop_takes_one_way_to_stop(folder):
    done = cli("stop", "theta", "--drain", "--grace", "3")
    assert (done.exit_code, "exclude each other" in done.output) == (2, True)


def test_an_agent_gets_the_grace_of_its_configuration():
    assert _grace(None, Status(state="ok", grace=600)) == 600
    assert _grace(3, Status(state="ok", grace=600)) == 3
    assert _grace(None, None) == lifecycle.DEFAULT_GRACE


def test_start_takes_an_id_once(folder, monkeypatch):
    folder.config.write_text("1/0")
    wanted = str(uuid.uuid4())
    done = cli("start", "theta", "--endpoint-uuid", wanted)
    assert "config.py, line 1: ZeroDivisionError" in done.output
    assert folder.endpoint_id() == wanted
    done = cli("start", "theta", "--endpoint-uuid", str(uuid.uuid4()))
    assert f"Endpoint 'theta' has the id {wanted} already." in done.output
    assert "'x' is not" in cli("start", "theta", "--endpoint-uuid", "x").output
    said = cli("status", "theta").output
    assert wanted in said
    assert "last error" in said
    assert "line 1: ZeroDivisionError" in said


def test_status_shows_what_a_block_printed(folder):
    folder.scripts.mkdir()
    (folder.scripts / "a.stderr").write_text("old\n")
    os.utime(folder.scripts / "a.stderr", (1, 1))
    (folder.scripts / "b.sh.err").write_text("first\n" * 20 + "\x1b[2Jmodule: command not found\n")
    (folder.scripts / "c.sh.err").write_text("")
    assert endpoint_report.report(folder).block_errors is None
    folder.write_last_error("No worker can start.", at=0)
    lines = cli("status", "theta").output.splitlines()
    assert "No worker can start." in lines[1]
    assert lines[2].endswith("b.sh.err:")
    assert lines[-1] == "    ?[2Jmodule: command not found"
    assert len(lines) == 3 + endpoint_report.TAIL_LINES


def test_status_counts_blocks_managers_workers_and_tasks(folder):
    folder.ensure_endpoint_id()
    lock = AgentLock(folder.lock)
    lock.acquire()
    agent = Status(state="ok", connected=True, managers=2, workers=8, blocks=1, waiting_tasks=5, running_tasks=8)
    folder.write_status(msgspec.structs.replace(agent, containers={"docker://a": 3, "": 5}))
    assert "workers   8 (containers: 5 in none, 3 in docker://a)" in cli("status", "theta").output
    folder.write_status(agent)
    said = cli("status", "theta").output
    found = msgspec.json.decode(cli("status", "theta", "--json").stdout)
    lock.release()
    assert [line.split()[:2] for line in said.splitlines()] == [
        ["theta:", "Running"],
        ["id", folder.endpoint_id()],
        ["blocks", "1"],
        ["managers", "2"],
        ["workers", "8"],
        ["tasks", "8"],
        ["results", "0"],
    ]
    assert (found["state"], found["agent"]["waiting_tasks"], found["last_error"]) == ("running", 5, None)


@pytest.mark.parametrize(
    ("arguments", "level"),
    [
        (("--debug", "start", "theta"), Level.DEBUG),
        (("start", "--debug", "theta"), Level.DEBUG),
        (("start", "--log-level", "trace", "theta"), Level.TRACE),
        (("start", "theta"), Level.INFO),
    ],
)
def test_how_much_is_logged_is_said_before_or_after_the_command(folder, arguments, level, monkeypatch):
    seen = []
    monkeypatch.setattr(
        lifecycle, "start", lambda folder, *, level, timeout: seen.append((folder.name, level, timeout))
    )
    assert cli(*arguments).output == "Endpoint 'theta' is running already.\n"
    assert seen == [("theta", level, lifecycle.START_TIMEOUT)]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(shell):
    assert "_FUNCX_ENDPOINT_COMPLETE" in cli("completion", shell).output


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not there")
def test_a_shell_completes_names_and_templates(folder):
    def completed(words, number):
        environment = {
            **os.environ,
            "_FUNCX_ENDPOINT_COMPLETE": "bash_complete",
            "COMP_WORDS": words,
            "COMP_CWORD": number,
        }
        command = [sys.executable, "-m", "funcx_endpoint.cli"]
        script = "import sys; sys.argv[0] = 'funcx-endpoint'; from funcx_endpoint.cli import main; main(prog_name='funcx-endpoint')"
        done = subprocess.run(
            [command[0], "-c", script], env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        return [line.partition(",")[2] for line in done.stdout.splitlines()]

    assert completed("funcx-endpoint start th", "2") == ["theta"]
    assert completed("funcx-endpoint configure x --template sl", "4") == ["slurm"]
    assert "restart" in completed("funcx-endpoint rest", "1")


def test_a_folder_that_cannot_be_read_does_not_hide_the_others(folder):
    cli("configure", "good")
    (folder.path / "endpoint.json").write_text("{")
    done = cli("list")
    assert done.exit_code == 0
    assert [line.split()[-1] for line in done.stdout.splitlines()] == ["Name", "good", "theta"]
    assert "theta: " in done.stderr
    assert "endpoint.json cannot be read" in done.stderr
    assert "endpoint.json cannot be read" in cli("status", "theta").output
