"""Progress bars of a cell in a real browser: how wide, how they read, in light and dark.

With ``FUNCX_PICTURES=docs`` the pictures of the manual are made again.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import axe_core_python
import pytest

from funcx_core.protocol.progress import Bar, Progress
from funcx_core.protocol.task import TaskState
from funcx_jupyter.display.bars import as_html
from funcx_jupyter.display.header import Header
from tests.support.browser import a_page

BARS = Progress(
    bars=[
        Bar(id=1, n=12, total=20, description="training", elapsed=74, rate=0.16, postfix="loss=0.083"),
        Bar(id=2, n=431, total=782, description="epoch 13", elapsed=3.1, rate=139.2, unit="batch"),
        Bar(id=3, n=782, total=782, description="epoch 12", elapsed=5.6, rate=139.6, unit="batch").closed(),
        Bar(id=4, n=212_000_000, total=700_000_000, description="download", unit="B", scale=1000, elapsed=18).closed(),
        Bar(id=5, n=31, description="points found", unit="pt", elapsed=74, rate=0.42),
    ]
)
LAB = {  # as JupyterLab's themes have them
    False: "--jp-brand-color1: #1976d2; --jp-success-color1: #388e3c; --jp-error-color1: #d32f2f; --jp-border-color2: #e0e0e0",
    True: "--jp-brand-color1: #2196f3; --jp-success-color1: #4caf50; --jp-error-color1: #f44336; --jp-border-color2: #424242",
}
PAGE = """<!doctype html><html lang="en"><title>Bars</title><style>
body {{ margin: 12px; font: 13px sans-serif; color: {ink}; background: {paper}; {variables} }}</style>{header}{bars}"""
WIDTHS = """[...document.querySelectorAll('[role=progressbar]')].map(
    (bar) => Math.round(100 * bar.firstElementChild.offsetWidth / bar.offsetWidth))"""
AXE = (Path(axe_core_python.__file__).parent / "axe.min.js").read_text()
FAULTS = """axe.run({include: [['.funcx-progress']]}, {runOnly: ['wcag2a', 'wcag2aa', 'best-practice'],
    rules: {region: {enabled: false}}}).then((found) => found.violations.map((each) => `${each.id}: ${each.help}`))"""
OVERFLOWS = "document.documentElement.scrollWidth > document.documentElement.clientWidth"


def a_file(tmp_path: Path, *, dark: bool) -> str:
    header = Header(
        endpoint="theta", task_id="t-0-0-3f2a-0", state=TaskState.RUNNING, elapsed=77, inputs="batches 4.1 MB, step()"
    )
    page = tmp_path / "page.html"
    ink, paper = ("#e0e0e0", "#111") if dark else ("#212121", "#fff")
    page.write_text(PAGE.format(ink=ink, paper=paper, variables=LAB[dark], header=header.as_html(), bars=as_html(BARS)))
    return page.as_uri()


@pytest.mark.parametrize("dark", [False, True])
async def test_they_are_as_long_as_they_say_and_read_well(tmp_path, dark):
    async with a_page() as page:
        await page.look(dark=dark, width=900, height=140)
        await page.go(a_file(tmp_path, dark=dark))
        assert await page.evaluate(WIDTHS) == [60, 55, 100, 30, 100]
        assert not await page.evaluate(OVERFLOWS)
        tree = (await page.call("Accessibility.getFullAXTree"))["nodes"]
        told = [
            {item["name"]: item["value"].get("value") for item in node["properties"]} | {"name": node["name"]["value"]}
            for node in tree
            if node["role"]["value"] == "progressbar" and not node["ignored"]
        ]
        assert [each["name"] for each in told] == ["training", "epoch 13", "epoch 12", "download", "points found"]
        assert told[0]["valuetext"] == "60% 12/20 [01:14<00:50, 6.25s/it, loss=0.083]"
        assert told[3]["valuetext"].endswith("stopped")
        await page.evaluate(AXE)
        assert await page.evaluate(FAULTS) == []
        if folder := os.environ.get("FUNCX_PICTURES"):
            picture = Path(folder, f"progress-{'dark' if dark else 'light'}.png")
            await asyncio.to_thread(picture.write_bytes, await page.picture())
        await page.look(dark=dark, width=360, height=300)
        assert await page.evaluate(WIDTHS) == pytest.approx([60, 55, 100, 30, 100], abs=2)
