"""The timeline in a real browser: drawn, moved by keys and pointer, and saved."""

import json
from pathlib import Path

import pytest

import funcx_jupyter.widgets
from funcx_jupyter.widgets.timeline_model import TimelineModel, columns
from tests.support.browser import a_page
from tests.unit.jupyter.widgets.rows import BEGIN, an_id, told

FOLDER = Path(funcx_jupyter.widgets.__file__).parent
PAGE = """<!doctype html><meta name="color-scheme" content="light dark"><style>{css}</style><div id="t"></div>
<script type="module">{js}
const data = {data};
window.changed = null;
window.model = {{ get: () => data, on: (_, act) => {{ window.changed = act; }}, off: () => {{}} }};
render({{ model: window.model, el: document.getElementById("t") }});
window.saved = [];
URL.createObjectURL = (blob) => {{ blob.text().then((text) => window.saved.push([blob.type, text])); return "#"; }};
</script>"""
KEY = "document.querySelector('canvas').dispatchEvent(new KeyboardEvent('keydown', {{key: '{}', cancelable: true}}))"
POINT = "document.querySelector('canvas').dispatchEvent(new MouseEvent('pointermove', {{clientX: {}, clientY: document.querySelector('canvas').getBoundingClientRect().top + {}}}))"
DRAWN = (
    "(() => {{ const c = document.querySelector('canvas');"
    " const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;"
    " let n = 0; for (let i = 0; i < d.length; i += 4)"
    " if (d[i] === {0} && d[i + 1] === {1} && d[i + 2] === {2}) n++; return n; }})()"
)
BLUE, VERMILION = DRAWN.format(0, 114, 178), DRAWN.format(213, 94, 0)


def a_timeline(tasks):
    model = TimelineModel(dict.fromkeys(tasks, ""))
    model.learn(tasks)
    model.endpoints["e" * 36] = "theta"
    model.functions["f"] = "<b>simulate</b>"
    return columns(model, BEGIN + 100)


def a_task(begin, end, status="success"):
    times = {"received": 0.0, "started": begin, "ended": end, "completed": end + 0.5}
    return told(status, **times, function_id="f", node="n1:aaaa", worker=2 if status == "success" else 1)


def page_of(tmp_path, tasks):
    source = (FOLDER / "timeline.js").read_text().replace("export default { render };", "")
    page = tmp_path / "page.html"
    css = (FOLDER / "timeline.css").read_text()
    page.write_text(PAGE.format(css=css, js=source, data=json.dumps(a_timeline(tasks))))
    return page.as_uri()


@pytest.mark.parametrize("dark", [False, True])
async def test_it_is_drawn_and_moved_without_a_mouse(tmp_path, dark):
    tasks = {an_id(0): a_task(0, 4), an_id(1): a_task(1, 3, "failed")}
    async with a_page() as page:
        await page.look(dark=dark)
        await page.go(page_of(tmp_path, tasks))
        blue = await page.until(BLUE)
        assert await page.evaluate(VERMILION) > 0
        await page.evaluate(KEY.format("+"))
        await page.until(f"{BLUE} > {blue}")
        await page.evaluate(KEY.format("0"))
        await page.until(f"{BLUE} === {blue}")
        await page.evaluate(KEY.format("n"))
        details = await page.evaluate("document.querySelector('.details').innerText")
        assert "<b>simulate</b> · theta · n1 · worker 2 · success" in details
        assert "run 4.00 s · transfer 500 ms" in details
        await page.evaluate(POINT.format(5, 12))
        assert await page.evaluate("document.querySelector('.details').innerText") == "theta · n1 · worker 1: 1 task"
        label = await page.evaluate("document.querySelector('canvas').getAttribute('aria-label')")
        assert label.startswith("Timeline. 2 tasks in 4.5 s")
        assert page.complaints == []


async def test_what_is_in_sight_is_saved_as_svg_and_png(tmp_path):
    async with a_page() as page:
        await page.go(page_of(tmp_path, {an_id(0): a_task(0, 4)}))
        await page.until(BLUE)
        buttons = "[...document.querySelectorAll('button')]"
        await page.evaluate(f"{buttons}.find((each) => each.textContent === 'By task').click()")
        await page.evaluate(f"{buttons}.find((each) => each.textContent === 'SVG').click()")
        kind, text = (await page.until("window.saved.length && window.saved"))[0]
        assert kind == "image/svg+xml"
        assert "&#60;b&#62;si" in text  # A wide font cuts the rest.
        assert text.count('fill="#0072b2"') == 1
        await page.evaluate(f"{buttons}.find((each) => each.textContent === 'PNG').click()")
        await page.until("window.saved.length === 2 && window.saved[1][0] === 'image/png'")
        assert page.complaints == []


async def test_ten_thousand_tasks_are_drawn_in_one_go(tmp_path):
    tasks = {an_id(number): a_task(number / 100, number / 100 + 0.5) for number in range(10_000)}
    async with a_page() as page:
        await page.go(page_of(tmp_path, tasks))
        await page.until(BLUE)
        took = await page.evaluate(
            "(async () => { const begin = performance.now();"
            + KEY.format("+")
            + "; await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));"
            " return performance.now() - begin; })()"
        )
        assert took < 2000  # 50 ms on a machine at rest, without a graphics card
        assert await page.evaluate("document.querySelectorAll('*').length") < 60
