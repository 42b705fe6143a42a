"""What the demo shows of a running notebook."""

import io

import pytest

from funcx_core.fabric.terminal import Terminal


@pytest.fixture
def shown():
    return io.StringIO()


@pytest.fixture
def terminal(shown):
    return Terminal(shown, colour=False)


def output(shown: io.StringIO) -> list[str]:
    return [line.removeprefix("    │ ") for line in shown.getvalue().splitlines()]


def test_a_cell_shows_its_source_its_output_and_its_value(terminal, shown):
    terminal.cell_starts(2, 9, "print('a')\n1 + 1")
    terminal.message("stream", {"name": "stdout", "text": "a\n"})
    terminal.message("execute_result", {"execution_count": 3, "data": {"text/plain": "2"}})
    terminal.cell_ends(good=True, seconds=0.5)
    assert output(shown) == ["", "[2/9]", "    print('a')", "    1 + 1", "a", "Out[3]: 2", "  ✓ 0.50 s"]


def test_output_appears_line_by_line_as_it_arrives(terminal, shown):
    terminal.message("stream", {"text": "half "})
    assert output(shown) == []
    terminal.message("stream", {"text": "a line\nnext"})
    assert output(shown) == ["half a line"]
    terminal.cell_ends(good=True, seconds=0)
    assert output(shown)[:2] == ["half a line", "next"]


def test_of_a_progress_bar_only_the_last_state_is_shown(terminal, shown):
    terminal.message("stream", {"text": "\r 10%\r 50%\r100%\n"})
    assert output(shown) == ["100%"]


def test_an_updated_display_is_shown_as_it_was_in_the_end(terminal, shown):
    terminal.message("display_data", {"data": {"text/plain": "waiting"}, "transient": {"display_id": "h"}})
    terminal.message("update_display_data", {"data": {"text/plain": "running"}, "transient": {"display_id": "h"}})
    terminal.message("update_display_data", {"data": {"text/plain": "done"}, "transient": {"display_id": "h"}})
    terminal.cell_ends(good=True, seconds=0)
    assert output(shown) == ["waiting", "done", "  ✓ 0.00 s"]


def test_an_image_is_named_and_not_printed(terminal, shown):
    terminal.message("display_data", {"data": {"image/png": "A" * 40_000, "text/plain": "<Figure>"}})
    assert output(shown) == ["[image/png, 30 kB]"]


def test_nothing_a_cell_prints_can_drive_the_terminal(terminal, shown):
    terminal.message("stream", {"text": "\x1b[31mred\x1b[0m \x1b]0;title\x07\n"})
    assert "\x1b" not in shown.getvalue()
    assert output(shown) == ["red \\u001b]0;title\\u0007"]


def test_a_flood_of_output_is_cut(terminal, shown):
    terminal.cell_starts(1, 1, "")
    terminal.message("stream", {"text": "x\n" * 10_000})
    assert len(output(shown)) < 60
    assert output(shown)[-1] == "… more output is not shown here"


def test_columns_of_a_table_line_up_and_numbers_stand_right(terminal, shown):
    terminal.table(["task", "run"], [["a", "1.5 ms"], ["bcd", "12.5 ms"]])
    assert output(shown) == ["  task  run", "  a      1.5 ms", "  bcd   12.5 ms"]
