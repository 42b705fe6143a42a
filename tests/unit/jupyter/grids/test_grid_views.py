from collections import Counter

import pytest

from funcx_core.sdk.grids.outcomes import PointState
from funcx_core.sdk.grids.shown import TextBar
from funcx_jupyter.grids import place
from funcx_jupyter.grids.bar import GridBar, bundle
from funcx_jupyter.grids.plot import LivePlot


class Study:
    name = "pilot"

    def __init__(self, rows):
        self.found = rows
        self.views = []

    def rows(self):
        return self.found

    def watch(self, view):
        self.views.append(view)

    def counts(self):
        return Counter({PointState.SUCCEEDED: len(self.found), PointState.FAILED: 1, PointState.WAITING: 2})

    def line(self):
        return f"pilot  50%|███ | {len(self.found)}/4 [00:01<00:01, 1.0/s] 1 failed"


@pytest.fixture
def shown(monkeypatch):
    """What is displayed: how, and the bundle."""
    found = []
    import IPython.display

    for name in ("display", "update_display"):
        monkeypatch.setattr(
            IPython.display, name, lambda bundle, *, raw, display_id, name=name: found.append((name, bundle))
        )
    return found


def rows(*losses):
    return [{"x": number, "loss": loss, "state": "succeeded"} for number, loss in enumerate(losses)]


def test_a_plot_is_drawn_again_in_its_place(shown):
    study = Study(rows(1.0))
    plot = LivePlot(study, "x", "loss")
    plot.update(is_final=False)
    assert shown == []  # nobody looks
    plot._ipython_display_()
    assert study.views == [plot]
    plot.update(is_final=False)
    assert [how for how, _ in shown] == ["display"]  # nothing new
    study.found = rows(1.0, 2.0, 4.0)
    plot.update(is_final=True)
    assert [how for how, _ in shown] == ["display", "update_display"]
    assert shown[0][1]["image/png"] != shown[1][1]["image/png"]
    assert "▁▃█" in shown[1][1]["text/plain"] == repr(plot)
    assert plot.figure.axes[0].get_title(loc="left") == "pilot  3 of 3 points"


def test_a_plot_is_saved_as_the_name_says(tmp_path):
    plot = LivePlot(Study(rows(1.0, 2.0)), "x", "loss", "x")
    plot.save(tmp_path / "plot.svg")
    assert (tmp_path / "plot.svg").read_text().count("<svg") == 1
    assert [text.get_text() for text in plot.figure.axes[0].get_legend().get_texts()] == ["x = 0", "x = 1"]


def test_a_plot_of_what_is_no_number_says_so_where_it_would_be():
    plot = LivePlot(Study([{"x": 1, "loss": "high", "state": "succeeded"}]), "x", "loss")
    assert "has no numbers" in repr(plot)


def test_means_are_drawn_where_points_share_an_x():
    plot = LivePlot(Study([{"x": 1, "loss": 1.0}, {"x": 1, "loss": 3.0}, {"x": 2, "loss": 1.0}]), "x", "loss")
    assert len(plot.figure.axes[0].lines) == 2


def test_the_bar_shows_states_in_colours_and_words(shown):
    study = Study(rows(1.0))
    bar = GridBar(study)
    study.found = rows(1.0, 2.0)
    bar.update(is_final=True)
    assert [how for how, _ in shown] == ["display", "update_display"]
    html = shown[1][1]["text/html"]
    assert "2 succeeded" in html
    assert "1 failed" in html
    assert "███" not in html
    assert bundle(study.counts(), study.line())["text/plain"] == study.line()


def test_a_bar_in_a_terminal_is_written_over(tmp_path):
    study = Study(rows(1.0))
    with (tmp_path / "err").open("w+") as stream:
        bar = TextBar(study, stream)
        bar.update(is_final=False)
        bar.update(is_final=True)
        stream.seek(0)
        assert stream.read().count("pilot") == 2
    assert (tmp_path / "err").read_bytes().endswith(b"failed\n")


def test_a_place_shows_nothing_twice(shown):
    here = place.Place()
    here.show({"text/plain": "a"})
    here.show({"text/plain": "a"})
    here.show({"text/plain": "b"})
    assert [bundle["text/plain"] for _, bundle in shown] == ["a", "b"]
