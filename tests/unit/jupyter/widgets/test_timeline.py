from xml.etree import ElementTree as ET

import pytest

from funcx_core.errors import UsageError
from funcx_core.protocol.task import TaskState
from funcx_jupyter.widgets.timeline import Timeline
from funcx_jupyter.widgets.timeline_model import TimelineModel, as_text, bar_of, columns, describe
from funcx_jupyter.widgets.timeline_rows import Group, rows_of
from funcx_jupyter.widgets.timeline_svg import Box, as_svg, merged, ticks
from tests.unit.jupyter.widgets.rows import BEGIN, FakeService, an_id, told

SVG = "{http://www.w3.org/2000/svg}"


def ran(begin, end, status="success", **more):
    return told(status, received=0.0, started=begin, ended=end, completed=end + 0.1, **more)


def a_model(*tasks):
    model = TimelineModel({an_id(number): "" for number in range(len(tasks))})
    model.learn({an_id(number): task for number, task in enumerate(tasks)})
    model.endpoints["e" * 36] = "theta"
    return model


def relative(bar):
    return [round(at - BEGIN, 3) for at in bar.at]


def test_hops_are_in_order_whatever_their_clocks_say():
    task = told("success", received=1.0, started=3.0, ended=2.0, completed=4.0)
    assert relative(bar_of(an_id(0), task)) == [1.0, 1.0, 1.0, 3.0, 3.0, 4.0]
    task["times"] |= {"interchange": int((BEGIN + 1.5) * 1e9), "manager": int((BEGIN + 1.2) * 1e9)}
    assert relative(bar_of(an_id(0), task)) == [1.0, 1.5, 1.5, 3.0, 3.0, 4.0]


def test_a_task_is_drawn_as_far_as_it_is():
    waits = bar_of(an_id(0), told("waiting-for-ep", received=1.0))
    assert waits.edges(BEGIN + 5) == (BEGIN + 1, BEGIN + 5)
    assert waits.run(BEGIN + 5) is None
    runs = bar_of(an_id(0), told("running", received=1.0, started=2.0))
    assert runs.run(BEGIN + 5) == (BEGIN + 2, BEGIN + 5)
    stopped = bar_of(an_id(0), told("cancelled", received=1.0, completed=2.0))
    assert (relative(stopped), stopped.edges(BEGIN + 5)) == ([1.0, 2.0], (BEGIN + 1, BEGIN + 2))


def test_where_workers_are_not_named_a_lane_has_one_task_at_a_time():
    model = a_model(ran(0, 2), ran(0, 1), ran(1, 3), ran(2, 4), told("waiting-for-ep"))
    bars = model.bars()
    rows = rows_of(model, bars, BEGIN + 5)
    assert rows.names == ["theta · lane 1", "theta · lane 2"]
    assert sorted(zip((bar.task_id for bar in bars), rows.of, strict=True)) == [
        (an_id(0), 1), (an_id(1), 0), (an_id(2), 0), (an_id(3), 1), (an_id(4), -1),
    ]  # fmt: skip


def test_rows_are_the_workers_that_ran_the_tasks_by_node_and_endpoint():
    model = a_model(
        ran(0, 1, node="n2:ffff", worker=1),
        ran(0, 1, node="n1:aaaa", worker=12),
        ran(2, 3, node="n1:aaaa", worker=2),
        ran(4, 5, node="n1:aaaa", worker=12),
        ran(4, 5),
        ran(4, 5, node="m1:bbbb", worker=1, endpoint_id="b" * 36),
    )
    model.endpoints["b" * 36] = "midway"
    rows = rows_of(model, model.bars(), BEGIN + 9)
    assert rows.names == [
        "midway · m1 · worker 1", "theta · n1 · worker 2", "theta · n1 · worker 12", "theta · n2 · worker 1", "theta · lane 1",
    ]  # fmt: skip
    assert rows.groups == [
        Group("midway", 0, 1), Group("theta · n1", 1, 2), Group("theta · n2", 3, 1), Group("theta", 4, 1),
    ]  # fmt: skip
    of = {bar.task_id: row for bar, row in zip(model.bars(), rows.of, strict=True)}
    assert [of[an_id(number)] for number in range(6)] == [3, 2, 1, 2, 4, 0]


def test_two_managers_of_one_host_are_told_apart():
    model = a_model(ran(0, 1, node="n1:aaaa", worker=1), ran(0, 1, node="n1:bbbb", worker=1))
    assert rows_of(model, model.bars(), BEGIN + 9).names == ["theta · n1:aaaa · worker 1", "theta · n1:bbbb · worker 1"]


def test_a_task_that_runs_is_in_the_row_of_its_worker():
    model = a_model(told("running", received=1.0, started=2.0, node="n1:aaaa", worker=3))
    rows = rows_of(model, model.bars(), BEGIN + 9)
    assert (rows.names, rows.of) == (["theta · n1 · worker 3"], [0])


def test_the_way_back_of_a_result_is_drawn_until_the_next_task_begins():
    model = a_model(ran(0, 2), ran(2.05, 3))
    rows = rows_of(model, model.bars(), BEGIN + 5)
    assert [round(end - BEGIN, 3) for end in rows.ends] == [2.05, 3.1]


def test_in_text_a_row_is_as_high_as_it_was_busy():
    model = a_model(ran(0, 6), ran(3, 6))
    line, first, second = as_text(model, BEGIN + 10).splitlines()
    assert line == "2 tasks in 6.1 s · median: queue 1.5 s, run 4.5 s"
    assert first.startswith("theta · lane 1 ████████")
    assert second[15:].count(" ") in {29, 30}
    assert as_text(a_model(), BEGIN) == "No task of these has reached the service yet."


def test_what_ends_is_asked_no_more_and_what_is_gone_is_dropped():
    model = a_model(ran(0, 1), told("running"))
    assert model.open_ids() == [an_id(1)]
    assert not model.learn({an_id(1): told("running")})
    assert model.learn({an_id(1): ran(0, 1, "failed")})
    assert model.open_ids() == []
    assert "1 failed" in describe(model, model.bars(), BEGIN + 3)
    model.forget([an_id(0)])
    assert len(model) == 1


def test_the_front_end_gets_columns():
    model = a_model(ran(1, 2), told("running", started=3.0, function_id="f"))
    model.functions["f"] = "simulate"
    found = columns(model, BEGIN + 5)
    assert found["begin"] == BEGIN * 1e3
    assert found["edges"] == [[0, 0, 0, 1000, 2000, 2100], [0, 0, 0, 3000, 5000]]
    assert found["titles"][1] == "simulate"
    assert found["states"] == ["success", "running"]
    assert (found["row"], found["rows"], found["labels"]) == ([0, 0], ["theta · lane 1"], ["1"])
    assert found["groups"] == [["theta", 0, 1]]


def test_the_picture_says_everything_without_colours():
    model = a_model(ran(0, 2), ran(1, 3, "failed"))
    picture = ET.fromstring(as_svg(model, BEGIN + 9))
    bars = [
        each.find(f"{SVG}title").text for each in picture.iter(f"{SVG}rect") if each.find(f"{SVG}title") is not None
    ]
    assert len(bars) == 4  # each with its way back
    assert any("failed, queue 1 s, run 2 s" in title for title in bars)
    assert "theta" in [each.text for each in picture.iter(f"{SVG}text")]
    assert any(title.endswith("theta · lane 1") for title in bars)


def test_titles_are_text_whatever_is_in_them():
    model = a_model(ran(0, 2, function_id="f"))
    model.functions["f"] = "<script>&"
    assert "<script>" not in as_svg(model, BEGIN + 9)
    ET.fromstring(as_svg(model, BEGIN + 9))


def test_ten_thousand_tasks_are_a_picture_of_a_few_hundred_bars():
    model = a_model(*(ran(number / 1000, number / 1000 + 0.001) for number in range(10_000)))
    picture = as_svg(model, BEGIN + 20)
    assert len(picture) < 300_000
    boxes = [Box(0, number, number + 0.5, "success") for number in range(100)]
    assert [(box.begin, box.end, box.title) for box in merged(boxes, 1.0)] == [(0, 99.5, "100 tasks: success")]
    assert len(list(merged(boxes, 0.1))) == 100


def test_ticks_are_round():
    assert ticks(10.0) == [0, 2, 4, 6, 8, 10]
    assert len(ticks(3723.0)) <= 9
    assert ticks(0.0)


def test_pictures_are_written_as_the_name_says(tmp_path):
    timeline = Timeline([an_id(0)], service=FakeService(), clock=lambda: BEGIN + 9)
    timeline.model.learn({an_id(0): ran(0, 2)})
    assert timeline.save(tmp_path / "t.svg").read_text().startswith("<svg")
    assert timeline.save(tmp_path / "t.png").read_bytes().startswith(b"\x89PNG")
    Timeline([], service=FakeService()).save(tmp_path / "none.png")


def test_one_question_a_tick_and_none_when_all_have_ended():
    service = FakeService()
    service.tasks = {an_id(0): ran(0, 1), an_id(1): told("running", function_id="f")}
    timeline = Timeline([an_id(0), an_id(1)], service=service, clock=lambda: BEGIN + 9)
    assert "2 tasks" in repr(timeline)
    timeline.refresh()
    assert [question for question in service.asked if question[0] == "states"] == [
        ("states", [an_id(0), an_id(1)]),
        ("states", [an_id(1)]),
    ]
    service.tasks[an_id(1)] = ran(0, 5)
    timeline.refresh()
    timeline.refresh()
    assert service.count("states") == 3
    assert timeline.model.bars()[1].state is TaskState.SUCCESS


def test_without_a_service_it_shows_what_was_known():
    service = FakeService()
    service.tasks = {an_id(0): told("running", started=1.0)}
    timeline = Timeline([an_id(0)], service=service, clock=lambda: BEGIN + 9)
    timeline.refresh()
    service.is_down = True
    assert "Showing what was last known." in repr(timeline)
    assert "theta" not in repr(timeline)
    assert "█" in repr(timeline)


def test_a_group_and_a_study_name_their_tasks():
    service = FakeService()
    service.tasks = {an_id(0): ran(0, 1)}
    service.members = [an_id(0)]

    class Study:
        def task_ids(self):
            return [an_id(0)]

    for timeline in (Timeline(group=an_id(9), service=service), Timeline(Study(), service=service)):
        timeline.refresh()
        assert len(timeline.model.bars()) == 1


def test_what_is_no_task_is_refused():
    with pytest.raises(UsageError, match="int is not a submitted task"):
        Timeline([3], service=FakeService())
    with pytest.raises(UsageError, match="There is no notebook"):
        Timeline(service=FakeService())
