"""What a monitor knows, without widgets, clocks and services."""

from __future__ import annotations

import time

from funcx_jupyter.widgets import monitor_forms
from funcx_jupyter.widgets.monitor_model import MonitorModel, sparkline
from funcx_jupyter.widgets.task_rows import PATIENCE, TaskRow
from tests.unit.jupyter.widgets.rows import BEGIN, an_id, failed, told

NOW = BEGIN + 10


def a_model(*states, page_size=10):
    model = MonitorModel(
        (TaskRow(task_id=an_id(n), title=f"job({n})") for n in range(len(states))), page_size=page_size
    )
    model.learn({an_id(n): state for n, state in enumerate(states)})
    return model


def titles(model):
    return [row.title for row in model.page(NOW).rows]


def test_states_are_counted_by_what_they_mean_to_people():
    model = a_model(told("waiting-for-ep"), told("running"), told("cancelling"), told("success"), failed("ValueError"))
    assert model.counts() == {"waiting": 1, "running": 2, "done": 1, "failed": 1, "stopped": 0}
    assert model.summary() == "1 waiting · 2 running · 1 done · 1 failed"


def test_only_tasks_that_have_not_ended_are_asked_for_again():
    model = a_model(told("running"), told("success"), told("cancelled"))
    assert model.open_ids() == [an_id(0)]


def test_what_has_ended_stays_as_it_is():
    model = a_model(told("success"))
    assert model.learn({an_id(0): told("running")}) is False
    assert model.counts()["done"] == 1


def test_only_a_changed_state_counts_as_news():
    model = a_model(told("running"))
    assert model.learn({an_id(0): told("running", started=1.0)}) is False
    assert model.learn({an_id(0): told("success")}) is True


def test_a_task_that_the_service_does_not_know_ends_with_its_reason():
    unknown = {"status": "Failed", "reason": "Unknown task id"}
    model = a_model(unknown)
    for _ in range(PATIENCE - 1):
        assert model.open_ids() == [an_id(0)]
        model.learn({an_id(0): unknown})
    assert model.open_ids() == []
    assert "The service knows no such task of yours." in monitor_forms.as_text(model, NOW)


def test_a_task_that_is_on_its_way_to_the_service_is_waited_for():
    model = a_model({"status": "Failed", "reason": "Unknown task id"})
    assert model.summary() == "1 waiting"
    assert "The service does not know it yet." in monitor_forms.as_text(model, NOW)
    model.learn({an_id(0): told("success")})
    assert model.row(an_id(0)).message == ""


def test_a_state_of_a_newer_service_changes_nothing():
    model = a_model(told("running"))
    model.learn({an_id(0): told("frobnicating")})
    assert model.counts()["running"] == 1


def test_failures_are_grouped_the_most_frequent_first():
    model = a_model(failed("KeyError", "'a'"), failed("ValueError", "no"), failed("ValueError", "never"), told())
    found = [(group.failure, group.count, group.message) for group in model.failures()]
    assert found == [("ValueError", 2, "no"), ("KeyError", 1, "'a'")]


def test_search_takes_all_words_anywhere():
    model = a_model(failed("KeyError", "the Key"), failed("ValueError"), told())
    model.choose(search="job key")
    assert titles(model) == ["job(0)"]
    model.choose(search="running")
    assert titles(model) == ["job(2)"]


def test_a_state_can_be_chosen():
    model = a_model(told("success"), told("running"), told("success"))
    model.choose(group="done")
    assert titles(model) == ["job(2)", "job(0)"]


def test_the_newest_is_first_and_the_other_way_round():
    model = a_model(told(received=1), told(received=3), told(received=2))
    assert titles(model) == ["job(1)", "job(2)", "job(0)"]
    model.is_reversed = True
    assert titles(model) == ["job(0)", "job(2)", "job(1)"]


def test_the_longest_is_first_by_duration():
    model = a_model(told(received=9), told("success", completed=3.0), told(received=0))
    model.choose(sort="duration")
    assert titles(model) == ["job(2)", "job(1)", "job(0)"]


def test_failed_ones_come_first_by_failure():
    model = a_model(told(), failed("ValueError"), failed("KeyError"))
    model.choose(sort="failure")
    assert titles(model) == ["job(2)", "job(1)", "job(0)"]


def test_turning_stays_between_the_first_and_the_last_page():
    model = a_model(*[told(received=n) for n in range(5)], page_size=2)
    model.turn(-1)
    assert model.page(NOW).describe() == "1-2 of 5"
    model.turn(2)
    assert model.page(NOW).describe() == "5-5 of 5"
    model.turn(9)
    assert model.page(NOW).describe() == "5-5 of 5"
    model.choose(search="job(3)")
    assert model.page(NOW).describe() == "1-1 of 1"
    model.choose(search="nothing")
    assert model.page(NOW).describe() == "no task"


def test_ten_thousand_tasks_are_no_burden():
    model = a_model(*[told("success", received=n / 1e4, started=1.0, ended=2.0) for n in range(10_000)])
    start = time.process_time()
    page = model.page(NOW)
    model.counts(), model.durations(NOW)
    assert time.process_time() - start < 1.0  # generous: it takes a few hundredths
    assert (page.total, len(page.rows)) == (10_000, 10)


def test_a_span_says_where_the_time_went():
    row = a_model(told("success", received=0, started=2.0, ended=5.0, completed=5.5)).row(an_id(0))
    spans = row.spans(NOW)
    assert (spans.queue, spans.run, spans.transfer) == (2.0, 3.0, 0.5)
    assert row.duration(NOW) == "5.5 s"


def test_a_running_task_counts_until_now():
    row = a_model(told("running", received=0, started=4.0)).row(an_id(0))
    assert (row.spans(NOW).queue, row.spans(NOW).run) == (4.0, 6.0)
    assert row.duration(NOW) == "00:10"


def test_clocks_that_disagree_make_no_negative_times():
    spans = a_model(told("success", received=5.0, started=3.0, ended=2.0, completed=1.0)).row(an_id(0)).spans(NOW)
    assert min(spans.queue, spans.run, spans.transfer) == 0.0


def test_sparkline():
    assert sparkline([0, 1, 2, 4]) == "▁▃▅█"
    assert sparkline([]) == ""
    assert sparkline([0.0]) == "▁"


def test_run_times_in_a_line():
    model = a_model(*[told("success", started=0.0, ended=float(n), completed=float(n)) for n in (1, 2, 6)])
    assert model.durations(NOW) == "run time ▂▃█ median 2.0 s, longest 6.0 s"


def test_endpoints_are_named_once_their_names_are_known():
    model = a_model(told())
    assert model.known_endpoints() == set()
    model.name(endpoints={"e" * 36: "theta"}, functions={})
    assert model.row(an_id(0)).endpoint == "theta"


def test_functions_name_tasks_that_have_no_title():
    model = a_model(told(), told(function_id="f"))
    model.add([TaskRow(task_id=an_id(7))])
    answer = {an_id(1): told(function_id="f"), an_id(7): told(function_id="g")}
    assert model.unnamed_functions(answer) == {"g"}
    model.name(endpoints={}, functions={"g": "simulate"})
    model.learn(answer)
    assert [model.row(an_id(n)).title for n in (1, 7)] == ["job(1)", "simulate"]
    assert model.unnamed_functions(answer) == set()


# --- forms -------------------------------------------------------------------------------------------------------------


def test_the_text_form():
    model = a_model(
        told("success", started=1.0, ended=3.0, completed=3.0), failed("ValueError", "no\nway", completed=1.0)
    )
    assert monitor_forms.as_text(model, NOW).splitlines() == [
        "Tasks: 1 done · 1 failed",
        "run time █ median 2.0 s, longest 2.0 s",
        "1 failed by ValueError: no way",
        "state     time   task  what    endpoint  failure",
        "✗ failed  1.0 s  8000  job(1)            ValueError: no way",
        "✓ done    3.0 s  8000  job(0)",
    ]


def test_long_texts_say_what_they_leave_out():
    model = a_model(*[told()] * 60)
    assert monitor_forms.as_text(model, NOW).endswith("… 10 more")


def test_an_outage_is_said_and_what_was_known_stays():
    model = a_model(told("success"))
    model.lose_contact("Cannot reach the service.")
    assert "Cannot reach the service. Showing what was last known." in monitor_forms.as_text(model, NOW)
    assert "1 done" in monitor_forms.as_html(model, NOW)
    model.learn({})
    assert "Cannot reach" not in monitor_forms.as_html(model, NOW)


def test_nothing_of_a_task_is_taken_for_html():
    evil = "<script>alert('x')</script>\"'"
    model = MonitorModel([TaskRow(task_id=an_id(0), title=evil, endpoint=evil)])
    model.learn({an_id(0): failed(evil, evil)})
    model.lose_contact(evil)
    shown = monitor_forms.as_html(model, NOW)
    assert "<script" not in shown
    assert "alert('" not in shown


def test_a_frozen_table_has_a_limit_and_says_so():
    model = a_model(*[told()] * 510)
    shown = monitor_forms.as_html(model, NOW)
    assert "the first 500 of 510" in shown
    assert shown.count("<tr>") == 501
