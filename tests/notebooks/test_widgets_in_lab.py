"""Widgets in a real JupyterLab: how they look, what they weigh, and whether everybody can use them.

`FUNCX_PICTURES=docs` also writes the pictures of docs/widgets.md, from what is checked here.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import axe_core_python
import pytest

from tests.support.browser import a_page
from tests.support.lab import PANEL, THEMES, a_lab, ask, ask_until, run_all

pytestmark = pytest.mark.xdist_group("lab")

SCENES = {
    "picker": "p = scenes.picker()\np",
    "monitor": "m = scenes.monitor()\nm",
    "task": "v = scenes.task()\nv",
    "timeline": "t = scenes.timeline()\nt",
}
CELLS = ["from tests.support import scenes", *SCENES.values()]
OUTPUTS = ".jp-CodeCell:nth-child({}) .jp-OutputArea-output"
AXE = (Path(axe_core_python.__file__).parent / "axe.min.js").read_text()
# What JupyterLab's page is made of is not ours to judge: only outputs are looked at.
JUDGED = (
    "axe.run({include: [['.jp-Cell-outputWrapper']]}, {runOnly: ['wcag2a', 'wcag2aa', 'best-practice'],"
    " rules: {region: {enabled: false}}}).then((found) => found.violations.map((each) =>"
    " [each.id, each.nodes.slice(0, 3).map((node) => node.html.slice(0, 200) + ' ' + node.failureSummary)]))"
)
TOO_WIDE = (
    "[...document.querySelectorAll('.jp-OutputArea-output, .jp-OutputArea-output *')]"
    ".filter((each) => each.tagName !== 'SELECT' && each.clientWidth > 0 && each.scrollWidth > each.clientWidth + 1"
    " && !['visible', 'clip'].includes(getComputedStyle(each).overflowX) && getComputedStyle(each).textOverflow !== 'ellipsis')"
    ".map((each) => `${each.tagName} ${each.className} ${each.scrollWidth} > ${each.clientWidth}`)"
)
DRAWN = "document.querySelectorAll('.widget-select option').length === 4 && !!document.querySelector('.funcx-timeline canvas')"
MONITOR = "document.querySelectorAll('.jp-CodeCell')[2].innerText"


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    with a_lab(tmp_path_factory.mktemp("lab")) as running:
        running.write("widgets.ipynb", *CELLS)
        yield running


async def shown(lab, page, *, dark=False, width=1150):
    lab.set(THEMES, theme=f"JupyterLab {'Dark' if dark else 'Light'}")
    await page.look(dark=dark, width=width, height=2400)
    await lab.open(page, "widgets.ipynb")
    await run_all(page)
    await page.until(DRAWN)
    await page.until(f"{MONITOR}.includes('9,884 done')")


async def judge(page, theme):
    """Nothing is too wide, and axe finds nothing; where pictures are wanted, they are taken of what was judged."""
    await page.evaluate(AXE + "; true")
    assert await page.evaluate(JUDGED) == []
    for width in (600, 1150):
        await page.look(dark=theme == "dark", width=width, height=2400)
        canvas = "document.querySelector('.funcx-timeline canvas').width"
        await page.until(f"{canvas} < {width} && {canvas} > {width} - 350")
        assert await page.evaluate(TOO_WIDE) == []
        if folder := os.environ.get("FUNCX_PICTURES"):
            await take_pictures(page, Path(folder), f"{theme}{'' if width > 1000 else '-narrow'}")


async def take_pictures(page, folder, suffix):
    await asyncio.sleep(2)  # JupyterLab's cells move to their places
    for place, name in enumerate(SCENES, 2):
        (folder / f"{name}-{suffix}.png").write_bytes(await page.picture(OUTPUTS.format(place)))


async def test_in_the_dark_everybody_can_read_it(lab):
    async with a_page() as page:
        await shown(lab, page, dark=True)
        await judge(page, "dark")
        assert [each for each in page.complaints if "beforeunload" not in each] == []


async def test_it_is_used_without_a_mouse_and_leaves_html_behind(lab):
    async with a_page() as page:
        await shown(lab, page)
        await judge(page, "light")
        await choose_an_endpoint(page)
        await turn_a_page(page)
        await go_out_of_sight(page)
        await leave_html(page)


async def choose_an_endpoint(page):
    focused = "document.activeElement.textContent"
    await page.evaluate("document.querySelector('.widget-text input').focus()")
    await page.press("Tab")
    await page.press("Tab")
    assert await page.evaluate(focused) == "▼ Down"
    await page.press("Enter")
    await ask_until(page, "p.endpoint.name == scenes.LONG_NAME")
    picker = "document.querySelectorAll('.jp-CodeCell')[1].innerText"
    await page.until(f"{picker}.includes('is offline (last seen 14 min ago')")
    use = "[...document.querySelectorAll('button')].find((each) => each.textContent === 'Use in this notebook')"
    assert await page.evaluate(f"[{use}.disabled, {use}.title.includes('is offline')]") == [True, True]
    await page.evaluate("document.querySelector('.widget-text input').focus()")
    await page.type("theta")
    await page.until("document.querySelectorAll('.widget-select option').length === 1")
    await page.press("Tab")
    await page.press("Enter")
    await ask_until(page, "p.endpoint.name", "'theta'")
    await page.until(f"!{use}.disabled")


async def turn_a_page(page):
    cell = "document.querySelectorAll('.jp-CodeCell')[2]"
    assert await page.evaluate(f"{cell}.querySelectorAll('*').length") < 1500  # of ten thousand tasks
    await page.evaluate("window.begin = performance.now()")
    button = f"[...{cell}.querySelectorAll('button')].find((each) => each.textContent.startsWith('Next'))"
    await page.evaluate(f"{button}.click()")
    await page.until(f"{cell}.innerText.includes('11-20 of 10,000')")
    assert await page.evaluate("performance.now() - window.begin") < 3000  # 300 ms on a machine at rest


async def go_out_of_sight(page):
    assert await ask(page, "m.is_polling, p.is_polling, t.is_polling") == "(True, True, True)"
    await page.evaluate(f"{PANEL}.content.widgets[2].outputArea.model.clear()")
    await ask_until(page, "m.is_polling, p.is_polling", "(False, True)")


async def leave_html(page):
    await page.evaluate(f"{PANEL}.sessionContext.shutdown()")
    await page.until("!document.querySelector('.widget-select') && !document.querySelector('.funcx-timeline canvas')")
    assert "48 of 512 workers free" in await page.evaluate("document.querySelectorAll('.jp-CodeCell')[1].innerText")
    assert await page.evaluate("document.querySelectorAll('.jp-CodeCell')[4].querySelectorAll('img').length") == 1
