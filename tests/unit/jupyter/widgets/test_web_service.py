"""Which service widgets ask, and how."""

from __future__ import annotations

import pytest

from funcx_core.sdk.settings import Settings
from funcx_core.sdk.web import Tagged
from funcx_jupyter.widgets import service as questions
from funcx_jupyter.widgets.service import WebService
from tests.unit.jupyter.widgets.rows import an_id, told


class Web:
    def __init__(self, settings, *, timeout, tries):
        self.settings = settings
        self.tries = tries
        self.posted = []
        self.asked = []
        self.version = 1

    def get(self, *path):
        self.asked.append(path)
        return []

    def post_again(self, *path, body, tag):
        self.posted.append((path, body))
        if tag == f'"{self.version}"':
            return None
        return Tagged({"results": {task_id: told() for task_id in body["task_ids"]}}, f'"{self.version}"', 100)


def test_after_a_restart_elsewhere_the_new_service_is_asked(monkeypatch):
    monkeypatch.setattr(questions, "WebClient", Web)
    now = Settings("http://127.0.0.1:1/v2", "one")
    service = WebService(lambda: now)
    first = service._client()
    assert first is service._client()
    now = Settings("http://127.0.0.1:2/v2", "two")
    assert service._client().settings == now
    assert first.tries == 1


def test_ten_thousand_tasks_are_one_brief_request(monkeypatch):
    monkeypatch.setattr(questions, "WebClient", Web)
    service = WebService(lambda: Settings("http://127.0.0.1:1/v2", "one"))
    ids = [an_id(number) for number in range(10_001)]
    assert len(service.states(ids)) == 10_001
    posted = service._client().posted
    assert [(path, len(body["task_ids"]), body["brief"]) for path, body in posted] == [
        (("batch_status",), 10_000, True),
        (("batch_status",), 1, True),
    ]


@pytest.mark.parametrize("count", [1, 10_001])
def test_what_has_not_changed_is_the_same_object(monkeypatch, count):
    monkeypatch.setattr(questions, "WebClient", Web)
    service = WebService(lambda: Settings("http://127.0.0.1:1/v2", "one"))
    ids = [an_id(number) for number in range(count)]
    first = service.states(ids)
    assert service.states(ids) is first
    assert service.states(ids[:-1]) is not first
    second = service.states(ids)
    assert second is not first
    service._client().version = 2
    assert service.states(ids) is not second


def test_widgets_share_the_list_of_endpoints(monkeypatch):
    monkeypatch.setattr(questions, "WebClient", Web)
    now = [0.0]
    service = WebService(lambda: Settings("http://127.0.0.1:1/v2", "one"), clock=lambda: now[0])
    for picker in range(5):
        now[0] = picker / 10
        service.endpoints()
    assert service._client().asked == [("endpoints",)]
    service.endpoints(fresh=True)
    now[0] += 1
    service.endpoints()
    assert len(service._client().asked) == 3


def test_all_widgets_have_one_service():
    assert questions.the_service() is questions.the_service()
