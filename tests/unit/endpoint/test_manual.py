"""The help of `funcx-endpoint` and its page for `man`."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from funcx_endpoint.cli import main
from funcx_endpoint.manual.page import man_page
from funcx_endpoint.manual.words import EXAMPLES

PAGE = Path(__file__).parents[3] / "docs" / "man" / "funcx-endpoint.1"
LINES = [line for examples in EXAMPLES.values() for line, _ in examples]


@pytest.mark.parametrize("line", LINES)
def test_every_example_is_a_command_that_is_understood(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yaml").touch()
    program, *arguments = shlex.split(line)
    assert program == "funcx-endpoint"
    with main.make_context(program, arguments) as context:
        name, command, rest = main.resolve_command(context, [*context._protected_args, *context.args])
        assert command is not None
        with command.make_context(name, rest, parent=context) as parsed:
            assert not parsed.args


@pytest.mark.parametrize("name", sorted(main.commands))
def test_every_command_has_examples_of_its_own(name: str) -> None:
    assert EXAMPLES[name]
    assert all(line.split()[1] == name for line, _ in EXAMPLES[name])
    shown = CliRunner().invoke(main, [name, "--help"], terminal_width=100).output
    assert f"\n    {EXAMPLES[name][0][0]}\n" in shown


def test_no_example_is_of_a_command_that_there_is_not() -> None:
    assert EXAMPLES.keys() - {""} <= main.commands.keys()


def test_every_option_says_what_it_does() -> None:
    for name, command in main.commands.items():
        for option in command.params:
            assert not isinstance(option, click.Option) or option.help, (name, option.opts)


def test_the_help_of_the_program_says_what_its_commands_share() -> None:
    shown = CliRunner().invoke(main, ["--help"]).output
    for words in ("Examples:", "Files:", "~/.funcx/NAME/logs/", "Environment:", "FUNCX_HOME", "Exit codes:"):
        assert words in shown


def test_the_page_has_every_command_and_option() -> None:
    page = man_page(main, "funcx-endpoint")
    assert page == PAGE.read_text(encoding="utf-8")
    for name, command in main.commands.items():
        assert f'.SS "{name} ' in page
        for option in command.params:
            if isinstance(option, click.Option):
                assert option.opts[0].replace("-", "\\-") in page


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not installed")
def test_man_can_show_the_page() -> None:
    done = subprocess.run(
        ["groff", "-man", "-ww", "-Tascii", "-P-bcou", PAGE], capture_output=True, text=True, check=True
    )
    assert not done.stderr
    assert "funcx-endpoint configure cluster --template slurm" in done.stdout
