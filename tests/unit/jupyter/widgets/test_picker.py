"""Choosing an endpoint."""

from __future__ import annotations

import pytest
from traitlets import TraitError

from funcx_core.errors import ConfigError
from funcx_jupyter.errors import UnknownEndpoint
from funcx_jupyter.session.endpoints import Endpoint
from funcx_jupyter.session.state import Session
from funcx_jupyter.widgets import picker_forms
from funcx_jupyter.widgets.local_endpoints import LocalEndpoint
from funcx_jupyter.widgets.picker import IDLE, EndpointPicker
from funcx_jupyter.widgets.picker_model import PickerModel
from tests.unit.jupyter.fake_service import FakeConnection
from tests.unit.jupyter.widgets.rows import FakeService, until

THETA = Endpoint(
    endpoint_id="t" * 36, name="theta", is_online=True, hostname="login3", python_version="3.12.1", workers=64,
    idle_workers=8, pending_tasks=1200,
)  # fmt: skip
MIDWAY = Endpoint(endpoint_id="m" * 36, name="midway", is_online=False, last_seen=840.0, python_version="3.11.2")
HERE = Endpoint(endpoint_id="h" * 36, name="zlocal", is_online=False)


def a_model(*rows, local=("h" * 36,)):
    model = PickerModel("3.11.7")
    model.learn(rows or [THETA, MIDWAY, HERE])
    model.learn_local([LocalEndpoint("zlocal", known) for known in local])
    return model


def test_those_of_this_machine_come_first_then_those_online():
    assert [row.name for row in a_model().rows()] == ["zlocal", "theta", "midway"]


def test_a_line_has_everything_in_words():
    model = a_model()
    assert model.label(THETA) == "theta · ● online · 8 of 64 workers free · 1,200 waiting · ≠ Python 3.12, here 3.11"
    assert model.label(MIDWAY) == "midway · ○ offline, last seen 14 min ago · ✓ Python 3.11"
    assert model.label(HERE) == "zlocal · ○ offline, never seen · Python unknown · this machine"


def test_search_takes_all_words_anywhere():
    model = a_model()
    model.search = "online LOGIN3"
    assert [row.name for row in model.rows()] == ["theta"]
    model.search = "nowhere"
    assert "No endpoint matches 'nowhere'." in picker_forms.as_text(model)


def test_everything_disabled_has_its_reason():
    model = a_model()
    assert model.why_not_use(None) == "Choose an endpoint first."
    assert model.why_not_use(THETA) == ""
    assert model.why_not_use(MIDWAY) == (
        "midway is offline (last seen 14 min ago). On its machine: `funcx-endpoint start midway`."
    )
    assert model.why_not_use(HERE) == "zlocal is offline (never seen). Press Start."
    assert model.why_not_start(HERE) == ""
    assert model.why_not_stop(HERE) == "zlocal does not run."
    assert "is not of this machine" in model.why_not_start(MIDWAY)
    model.busy = "Starting zlocal …"
    assert model.why_not_start(HERE) == "Starting zlocal …"


def test_only_facts_count_as_news():
    model = a_model(THETA)
    assert model.learn([THETA]) is False
    assert model.learn([MIDWAY]) is True


def test_before_the_first_answer_nothing_is_claimed():
    model = PickerModel("3.11.7")
    assert picker_forms.as_text(model) == "Asking the service …"
    model.learn([])
    assert picker_forms.as_text(model) == picker_forms.NOTHING


def test_of_two_with_one_name_the_one_that_is_online():
    other = Endpoint(endpoint_id="o" * 36, name="theta", is_online=False)
    assert a_model(other, THETA).find("theta") is THETA


def test_the_text_form_marks_the_chosen_one():
    model = a_model(THETA)
    model.chosen = THETA.endpoint_id
    assert picker_forms.as_text(model).splitlines()[1].startswith("→  theta     ● online")


def test_an_endpoint_that_was_never_started_is_told_of():
    model = PickerModel("3.11.7")
    model.learn_local([LocalEndpoint("fresh")])
    assert "`funcx-endpoint start fresh`" in picker_forms.as_text(model)


def test_nothing_of_an_endpoint_is_taken_for_html():
    evil = Endpoint(endpoint_id='"><script>', name="<script>alert('x')</script>", is_online=True, hostname="<img>")
    model = a_model(evil, local=())
    model.search = ""
    shown = picker_forms.as_html(model) + picker_forms.chosen(model, evil)
    assert "<script" not in shown
    assert "<img" not in shown


# --- the widget --------------------------------------------------------------------------------------------------------


class Local:
    def __init__(self):
        self.found = [LocalEndpoint("zlocal", "h" * 36)]
        self.done = []
        self.error = None

    def list(self):
        return self.found

    def start(self, name):
        if self.error:
            raise self.error
        self.done.append(("start", name))

    def stop(self, name):
        self.done.append(("stop", name))


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def service():
    made = FakeService()
    made.rows = [THETA, MIDWAY, HERE]
    return made


@pytest.fixture
def picker(service):
    made = EndpointPicker(session=Session(FakeConnection), service=service, local=Local(), clock=Clock())
    yield made
    made.close()


async def opened(picker):
    picker._open()
    await until(lambda: len(picker.options) == 3 and picker.view._list.options)
    return picker


async def test_choosing_sets_the_value_and_tells_observers(picker):
    heard = []
    picker.observe(lambda change: heard.append(change["new"]), names="value")
    (await opened(picker)).view._list.value = THETA.endpoint_id
    assert picker.value == THETA.endpoint_id
    assert picker.endpoint.name == "theta"
    assert heard == [THETA.endpoint_id]


async def test_endpoint_and_options_are_traits_too(picker, service):
    heard = []
    picker.observe(lambda change: heard.append((change["name"], change["new"])), names=["endpoint", "options"])
    await opened(picker)
    picker.model.search = "theta"
    picker.pick("theta")
    assert [row.name for row in picker.options] == ["zlocal", "theta", "midway"]
    assert heard == [("options", (HERE, THETA, MIDWAY)), ("endpoint", THETA)]
    with pytest.raises(TraitError):
        picker.endpoint = MIDWAY


async def test_buttons_go_up_and_down_the_list(picker):
    await opened(picker)
    above, below = picker.view._up, picker.view._down
    heard = []
    for button in (below, below, below, below, above, above, above):
        button.click()
        heard.append(picker.endpoint.name)
    assert heard == ["zlocal", "theta", "midway", "midway", "theta", "zlocal", "zlocal"]
    picker.view._search("theta")
    below.click()
    assert picker.endpoint.name == "theta"


async def test_the_lines_to_type_can_be_copied(picker):
    await opened(picker)
    picker.code()
    assert "Choose an endpoint first." in picker.view._notice.value
    picker.pick("theta")
    picker.code()
    assert "%%funcx theta</code>" in picker.view._notice.value
    assert "user-select: all" in picker.view._notice.value


async def test_a_name_is_as_good_as_an_id(picker):
    await opened(picker)
    picker.value = "theta"
    assert picker.value == THETA.endpoint_id
    picker.pick("midway")
    assert picker.endpoint.name == "midway"
    with pytest.raises(UnknownEndpoint):
        picker.pick("nowhere")


async def test_the_first_choice_waits_for_the_first_answer(service):
    picker = EndpointPicker("midway", service=service, local=Local())
    await opened(picker)
    assert picker.value == MIDWAY.endpoint_id
    picker.close()


async def test_the_notebook_uses_the_chosen_one(picker):
    await opened(picker)
    picker.pick("midway")
    assert picker.view._use.disabled
    assert "midway is offline" in picker.view._use.tooltip
    picker.pick("theta")
    picker.view._use.click()
    assert picker._session.used == THETA.endpoint_id
    assert "Cells run on theta from now on." in picker.view._notice.value


async def test_one_of_this_machine_is_started(picker, service):
    await opened(picker)
    picker.pick("zlocal")
    picker.view._start.click()
    assert "Starting zlocal" in picker.view._notice.value
    assert picker.view._start.disabled
    await until(lambda: picker._local.done == [("start", "zlocal")] and not picker.model.busy)


async def test_a_start_that_fails_says_why(picker):
    await opened(picker)
    picker._local.error = ConfigError("config.py, line 3: no such name")
    picker.pick("zlocal")
    picker.view._start.click()
    await until(lambda: "config.py, line 3" in picker.view._notice.value)
    assert not picker.view._start.disabled


async def test_after_ten_minutes_without_a_click_it_pauses(picker, service):
    await opened(picker)
    assert picker.is_polling
    picker._clock.now = IDLE + 1
    picker._feed._poller._nudged.set()
    await until(lambda: not picker.is_polling)
    assert "Paused" in picker.view._notice.value
    picker.refresh_soon()
    assert picker.is_polling


async def test_an_outage_is_a_visible_line_and_the_list_stays(picker, service):
    await opened(picker)
    service.is_down = True
    picker.refresh_soon()
    await until(lambda: "Cannot reach" in picker.view._outage.value)
    assert len(picker.view._list.options) == 3
    assert picker.view._again.layout.display is None
    service.is_down = False
    picker.view._again.click()
    await until(lambda: not picker.view._outage.value)
    assert picker.view._again.layout.display == "none"


def test_without_a_loop_the_text_is_asked_for(picker):
    assert "theta" in repr(picker)
