"""The HTML beside each widget: for viewers that run nothing, and take out what might run."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from nbconvert import HTMLExporter
from nbformat import v4

from tests.support import scenes

# What VS Code, GitHub and nbviewer leave in HTML of others. Styles stay as attributes only.
KEPT = {
    "div", "span", "table", "caption", "thead", "tbody", "tr", "th", "td", "details", "summary", "pre", "code", "img",
}  # fmt: skip
VIEW = "application/vnd.jupyter.widget-view+json"


class Reader(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags = set()
        self.attributes = set()
        self.sources = []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.sources += [value for name, value in attrs if name in {"src", "href"}]


def read(html):
    reader = Reader()
    reader.feed(html)
    return reader


def refreshed(made):
    made.refresh()
    return made


@pytest.fixture(params=["picker", "monitor", "task", "timeline"])
def made(request):
    return refreshed({"monitor": lambda: scenes.monitor(200)}.get(request.param, getattr(scenes, request.param))())


def test_nothing_in_it_runs_or_is_fetched(made):
    found = read(made._repr_html_())
    assert found.tags <= KEPT
    assert found.attributes <= {"style", "class", "title", "role", "scope", "aria-label", "alt", "src", "tabindex"}
    assert all(source.startswith("data:image/svg+xml;base64,") for source in found.sources)


def test_a_notebook_without_widget_state_shows_it_without_javascript(made):
    bundle = {"text/plain": "text", "text/html": made._repr_html_(), VIEW: {"model_id": "gone", "version_major": 2}}
    output = v4.new_output("display_data", data=bundle)
    page, _ = HTMLExporter().from_notebook_node(v4.new_notebook(cells=[v4.new_code_cell("m", outputs=[output])]))
    assert 'class="funcx-widget"' in page
    assert f'<script type="{VIEW}"' not in page


def test_a_trouble_is_said_in_it_too():
    monitor = refreshed(scenes.monitor(20))
    monitor._service.is_down = True
    monitor.refresh()
    assert 'role="alert"' in monitor._repr_html_()
    assert "Showing what was last known." in monitor._repr_html_()
