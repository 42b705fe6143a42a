"""IPython in a real terminal, against a real fabric."""

from __future__ import annotations

import re
import signal
import sys

import pexpect
import pytest

pytestmark = pytest.mark.xdist_group("fabric-kernel")

WRITTEN_OVER = re.compile(r"[^\n]*\r\x1b\[K")


class Terminal:
    """An IPython shell as it is started by hand."""

    def __init__(self, folder, env):
        options = ("--no-banner", "--simple-prompt", "--colors=NoColor", "--HistoryManager.enabled=False")
        self.child = pexpect.spawn(
            sys.executable,
            ["-m", "IPython", *options],
            env=env | {"IPYTHONDIR": str(folder / "ipython"), "TERM": "xterm"},
            cwd=str(folder),
            encoding="utf-8",
            timeout=60,
            dimensions=(40, 160),
        )
        self.number = 1
        self.child.expect(r"In \[1\]: ")

    def type(self, source):
        """Type a line, or a cell, whose end is told by empty lines."""
        self.child.sendline(source if "\n" not in source else f"{source}\n\n")

    def until_prompt(self):
        """Return everything that was written until the next cell may be typed, as the terminal got it."""
        self.number += 1
        self.child.expect(rf"In \[{self.number}\]: ")
        return self.child.before.replace("\r\n", "\n")

    def run(self, source):
        self.type(source)
        return self.until_prompt()


def seen(text):
    """What stays on the screen."""
    return WRITTEN_OVER.sub("", text)


@pytest.fixture
def terminal(fabric, tmp_path):
    shell = Terminal(tmp_path, fabric.environment())
    assert "1 endpoint online (local) · default: local" in shell.run("%load_ext funcx_jupyter")
    yield shell
    shell.child.close(force=True)


def test_a_cell_has_one_line_below_its_output_while_it_runs(terminal):
    terminal.run("x = 20")
    wrote = terminal.run(
        "%%funcx -o y\nimport time\nprint('be', end='', flush=True)\ntime.sleep(1.2)\nprint('gun', flush=True)\ntime.sleep(1.2)\n"
        "print('over')\ny = x + 1\ny * 2"
    )
    assert re.search(r"begun\n\r\x1b\[Klocal · running 00:0\d · in: x 5 B · out: y · task \w{4}", wrote)
    assert "be\r" not in wrote  # A line that the cell has not ended is not written over.
    screen = seen(wrote)
    assert re.search(r"begun\nover\nlocal · ✓ [^\n]* · out: y 5 B · task \w{4}\nOut\[\d+\]: 42", screen), screen
    assert "running" not in screen
    assert "Out[4]: 21" in terminal.run("y")
    quiet = terminal.run("%%funcx -q\nimport time\ntime.sleep(1)")
    assert "local ·" not in quiet


def test_what_is_shown_is_printed_in_its_text_form(terminal):
    bundle = "{'text/plain': 'as text', 'text/html': '<b>as HTML</b>'}"
    screen = seen(terminal.run(f"%%funcx\nprint('no end', end='')\ndisplay({bundle}, raw=True)\n1 / 0"))
    assert "no end\nas text\nlocal · ✗ failed after" in screen
    assert "----> 4 1 / 0" in screen
    assert "ZeroDivisionError: division by zero" in screen
    assert re.search(r"endpoint +state .*\nlocal +● online", terminal.run("%funcx endpoints"))


def test_ctrl_c_stops_and_a_second_one_leaves_the_cell_alone(terminal):
    terminal.type("%%funcx\nimport time\nprint('begun', flush=True)\ntime.sleep(30)")
    terminal.child.expect("running 00:0")
    terminal.child.sendintr()
    screen = seen(terminal.until_prompt())
    assert re.search(r"local · ■ stopped after .*\nCellInterrupted: Interrupted\. The task was stopped", screen), screen
    terminal.type("%%funcx\nimport time\ntry:\n    time.sleep(30)\nexcept KeyboardInterrupt:\n    time.sleep(2)")
    terminal.child.expect("running 00:0")
    terminal.child.sendintr()
    terminal.child.expect(r"Cancelling \w{4} on local \(press Ctrl-C again to detach\)")
    terminal.child.sendintr()
    assert "CellInterrupted: Detached" in terminal.until_prompt()


def test_bars_share_the_line_and_leave_their_end(terminal, tmp_path):
    go_on = tmp_path / "go-on"
    source = (
        "import os, time\nfrom tqdm import tqdm\nfor n in tqdm(range(4), desc='fit', mininterval=0):\n"
        f"    while n == 2 and not os.path.exists({str(go_on)!r}):\n        time.sleep(0.05)"
    )
    terminal.type(f"%%funcx\n{source}")
    terminal.child.expect(r"local · .*fit:  50%")
    go_on.touch()
    screen = seen(terminal.until_prompt())
    assert re.search(r"fit: 100%\|█{10}\| 4/4 \[.*\] ✓\nlocal · ✓ ", screen), screen
    assert screen.count("fit:") == 1


def test_a_cell_of_a_shell_that_was_killed_is_attached_in_the_next(fabric, terminal, tmp_path):
    go_on = tmp_path / "go-on"
    wait = f"while not os.path.exists({str(go_on)!r}):\n    time.sleep(0.05)\n"
    terminal.type(f"%%funcx -o z\nimport os, time\nprint('begun', flush=True)\n{wait}print('over')\nz = 7")
    terminal.child.expect("running 00:0")
    terminal.child.kill(signal.SIGKILL)
    go_on.touch()
    after = Terminal(tmp_path, fabric.environment())
    after.run("%load_ext funcx_jupyter")
    screen = seen(after.run("%funcx attach"))
    assert "begun\nover\nlocal · ✓ " in screen
    assert "1 task of this notebook: " in screen
    assert "Out[3]: 7" in after.run("z")
    after.child.close(force=True)


def test_a_task_in_the_background_is_asked_for(terminal):
    assert re.search(r"Out\[2\]: Task\(later, ", terminal.run("%%funcx -a -n later\nprint('printed')\n5"))
    assert "Out[3]: 5" in terminal.run("later.result()")
    assert "printed" in seen(terminal.run("%funcx attach later"))
