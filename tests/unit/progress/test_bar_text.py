"""Bars in characters: lines, a line in a terminal, and users' own bars."""

import gc
import io

import pytest

from funcx_core.progress import place, text
from funcx_core.progress.bar import progress
from funcx_core.progress.terminal import TerminalLine
from funcx_core.protocol.progress import Bar, Progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("bar", "line"),
    [
        (
            Bar(id=1, n=120, total=200, description="fit", elapsed=7, rate=17.04),
            "fit:  60%|██████    | 120/200 [00:07<00:04, 17.04it/s]",
        ),
        (
            Bar(id=1, n=200, total=200, elapsed=11, rate=18, postfix="loss=0.1").closed(),
            "100%|██████████| 200/200 [00:11<00:00, 18.00it/s, loss=0.1] ✓",
        ),
        (Bar(id=1, n=1, total=4, elapsed=3723, rate=0.5), " 25%|██▌       | 1/4 [1:02:03<00:06, 2.00s/it]"),
        (Bar(id=1, n=3, total=4).closed(), " 75%|███████▌  | 3/4 [00:00<?, ?] ✗"),
        (Bar(id=1, n=5, unit=" files", elapsed=2), "5 files [00:02, ?]"),
        (
            Bar(id=1, n=3_145_728, total=10_485_760, unit="B", scale=1024, rate=1_048_576),
            " 30%|███       | 3M/10M [00:00<00:07, 1MB/s]",
        ),
        (Bar(id=1, n=999.7, total=2000, scale=1000), " 49%|████▉     | 1k/2k [00:00<?, ?]"),
    ],
)
def test_a_line(bar, line):
    assert text.line(bar) == line


def test_lines_say_how_many_are_left_out():
    assert text.lines(Progress(bars=[Bar(id=1, n=1)], more=1340)) == ["… 1 340 more bars", "1it [00:00, ?]"]
    assert text.lines(Progress(more=1)) == ["… 1 more bar"]


def test_a_terminal_has_one_line_and_keeps_the_end(monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    terminal = Terminal()
    line = TerminalLine(terminal)
    outer, inner = Bar(id=1, n=1, total=4, description="outer"), Bar(id=2, n=1, total=2, description="inner")
    line.paint(Progress(bars=[outer, inner]))
    shown = terminal.getvalue().rpartition("\x1b[K")[2]
    assert len(shown) == 59
    assert shown.startswith("outer:  25%|██▌       | 1/4 [00:00<?, ?] · inner:")
    assert shown.endswith("…")
    line.aside()
    assert terminal.getvalue().endswith("\r\x1b[K")
    line.paint(Progress(bars=[outer, inner]))
    line.paint(Progress(bars=[outer.closed()]))
    line.end()
    assert terminal.getvalue().endswith("\r\x1b[Kouter:  25%|██▌       | 1/4 [00:00<?, ?] ✗\n")
    assert terminal.getvalue().count("\n") == 1


def test_a_file_gets_the_end_alone():
    written = io.StringIO()
    line = TerminalLine(written)
    line.paint(Progress(bars=[Bar(id=1, n=1, total=4)]))
    line.aside()
    assert not written.getvalue()
    line.end()
    assert written.getvalue() == " 25%|██▌       | 1/4 [00:00<?, ?]\n"
    line.end()
    assert written.getvalue().count("\n") == 1


@pytest.fixture
def stderr(monkeypatch, capsys):
    monkeypatch.setattr(place, "_worker", None)
    return lambda: capsys.readouterr().err


def test_ones_own_bar_over_an_iterable(stderr):
    bar = progress(range(4), desc="outer")
    assert len(bar) == 4
    inner = []
    for _ in bar:
        inner += progress([1, 2], desc="inner", leave=False)
    assert inner == [1, 2] * 4
    shown = stderr()
    assert shown.startswith("outer: 100%|██████████| 4/4 [00:00<00:00, ")
    assert shown.endswith(" ✓\n")
    assert shown.count("\n") == 1


def test_ones_own_bar_step_by_step(stderr):
    with progress(total=10, unit="B") as bar:
        bar.update(4)
        bar.describe("reading")
        bar.update()
    bar.close()
    shown = stderr()
    assert shown.startswith("reading:  50%|█████     | 5/10 [")
    assert shown.endswith(" ✗\n")
    with pytest.raises(TypeError, match="stepped by update"):
        list(progress(total=3))


def test_a_bar_that_is_dropped_has_ended(stderr):
    progress(iter("ab")).update(2)
    gc.collect()
    assert stderr().endswith(" ✓\n")
