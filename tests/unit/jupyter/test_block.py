"""The output of an asynchronous cell as one block."""

from __future__ import annotations

import json

import pytest

from funcx_core.ids import TaskId
from funcx_core.protocol.task import EventKind, TaskEvent
from funcx_jupyter.display import ansi
from funcx_jupyter.display.block import HEAD, MOST_RICH, TAIL, Block

MORE = "%funcx logs 3f2a"


def an_event(kind: EventKind, body: object) -> TaskEvent:
    data = body if isinstance(body, str) else json.dumps(body)
    return TaskEvent(TaskId("t"), 1, kind, 0, data.encode())


def a_block(*events: TaskEvent) -> Block:
    block = Block(MORE)
    for event in events:
        block.feed(event)
    return block


def shown(data: dict[str, str], display_id: str = "") -> dict[str, object]:
    return {"data": data, "transient": {"display_id": display_id} if display_id else {}}


def test_prints_and_figures_stay_in_order():
    block = a_block(
        an_event(EventKind.STDOUT, "one\n"),
        an_event(EventKind.DISPLAY, shown({"image/png": "aGk=", "text/plain": "<Figure>"})),
        an_event(EventKind.STDERR, "two <b>\n"),
    ).as_bundle()
    assert block["text/plain"] == "one\n<Figure>\ntwo <b>"
    parts = block["text/html"]
    assert parts.index("one") < parts.index("data:image/png;base64,aGk=") < parts.index("two &lt;b&gt;")


def test_a_progress_bar_is_one_line():
    block = a_block(*(an_event(EventKind.STDERR, f"\r{n}%") for n in range(100)))
    assert block.as_bundle()["text/plain"].strip() == "99%"
    assert ansi.as_printed("a\r\nb\n10%\r20%\n") == "a\r\nb\n20%\n"


def test_a_flood_keeps_its_beginning_and_its_end():
    block = Block(MORE)
    for number in range(200_000):
        block.print(f"line {number}\n", "stdout")
    text = block.as_bundle()["text/plain"]
    assert text.startswith("line 0\nline 1\n")
    assert text.endswith("line 199998\nline 199999")
    assert block.size <= HEAD + 2 * TAIL
    assert f"lines hidden — `{MORE}`" in text
    hidden = int(text.split("… ")[1].split(" lines")[0].replace(" ", ""))
    assert abs(hidden + text.count("line ") - 200_000) <= 2  # a line that is cut in two may count on both sides


def test_one_print_that_is_longer_than_the_block():
    block = a_block(an_event(EventKind.STDOUT, "x" * 10 * (HEAD + TAIL)))
    assert block.size <= HEAD + 2 * TAIL


def test_many_figures_have_a_bound():
    block = Block(MORE)
    block.print("x" * HEAD, "stdout")
    for number in range(20):
        block.show({"image/png": str(number) * (MOST_RICH // 8)})
    assert block.size <= MOST_RICH + HEAD
    assert "figures hidden" in block.as_bundle()["text/plain"]


def test_a_display_is_updated_in_its_place():
    block = a_block(
        an_event(EventKind.DISPLAY, shown({"text/plain": "old"}, "d")),
        an_event(EventKind.STDOUT, "after\n"),
        an_event(EventKind.UPDATE_DISPLAY, shown({"text/plain": "new"}, "d")),
    )
    assert block.as_bundle()["text/plain"] == "new\nafter"


def test_clearing_at_once_and_with_the_next_output():
    block = a_block(an_event(EventKind.STDOUT, "old\n"), an_event(EventKind.CLEAR, {"wait": True}))
    assert block.as_bundle()["text/plain"] == "old"
    block.feed(an_event(EventKind.STDOUT, "new\n"))
    assert block.as_bundle()["text/plain"] == "new"
    block.feed(an_event(EventKind.CLEAR, {"wait": False}))
    assert block.as_bundle()["text/plain"] == ""


def test_rich_forms():
    def as_html(data: dict[str, str]) -> str:
        return a_block(an_event(EventKind.DISPLAY, shown(data))).as_bundle()["text/html"]

    assert "<table>" in as_html({"text/html": "<table></table>", "text/plain": "t"})
    assert "data:image/svg+xml;base64," in as_html({"image/svg+xml": "<svg><script/></svg>"})
    assert "$x&lt;1$" in as_html({"text/latex": "$x<1$"})
    assert "&lt;application/x&gt;" in as_html({"application/x": "?"})


@pytest.mark.parametrize(
    ("code", "style"),
    [
        ("38;5;1", 'class="ansi-red-fg" style="color: #e75c58"'),
        ("48;5;12", 'class="ansi-blue-intense-bg" style="background-color: #0065ca"'),
        ("38;5;208", 'style="color: rgb(255, 135, 0)"'),
        ("38;5;244", 'style="color: rgb(128, 128, 128)"'),
        ("48;2;4;31;7", 'style="background-color: rgb(4, 31, 7)"'),
        ("38;2;1;2;3;1", 'class="ansi-bold" style="color: rgb(1, 2, 3); font-weight: bold"'),
    ],
)
def test_more_colours_than_eight(code, style):
    assert ansi.as_html(f"\x1b[{code}mx\x1b[0m") == f"<span {style}>x</span>"
    assert ansi.as_html(f"\x1b[{code}m\x1b[39;49;22mx") == "x"


@pytest.mark.parametrize("code", ["38", "38;5", "48;2;1", "38;5;999", "38;9;1"])
def test_a_code_that_is_none_colours_nothing(code):
    assert ansi.as_html(f"\x1b[{code}mx") == "x"


def test_colours_of_terminals():
    bold_red = 'class="ansi-bold ansi-red-fg" style="font-weight: bold; color: #e75c58"'
    assert ansi.as_html("a\x1b[1;31mred<\x1b[0mb") == f"a<span {bold_red}>red&lt;</span>b"
    light_green = 'class="ansi-green-intense-fg" style="color: #007427"'
    assert ansi.as_html("\x1b[92mx\x1b[39my\x1b[2K") == f"<span {light_green}>x</span>y"
    assert ansi.without_codes("\x1b[1;31mred\x1b[0m\x1b[2K") == "red"
