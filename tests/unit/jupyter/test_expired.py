"""What is said of tasks that the service has deleted."""

from __future__ import annotations

import time

import pytest

from funcx_core.errors import TaskNotFound
from funcx_core.ids import EndpointId, new_group_id, new_task_id
from funcx_core.protocol.task import TaskState
from funcx_jupyter.display import words
from funcx_jupyter.errors import ResultExpired
from funcx_jupyter.session.expired import missing
from funcx_jupyter.session.journal import Submission
from funcx_jupyter.session.state import Session
from tests.unit.jupyter.fake_service import FakeConnection

DAY = 86400.0
TWELFTH_OF_MAY = time.mktime((2026, 5, 12, 15, 0, 0, 0, 0, -1))


@pytest.fixture
def session(tmp_path, monkeypatch):
    monkeypatch.setenv("FUNCX_HOME", str(tmp_path / "home"))
    made = Session(FakeConnection)
    made.recall.open(str(tmp_path / "book.ipynb"))
    return made


def sent(session, at):
    task_id = new_task_id()
    session.recall.sent(
        Submission(
            task_id=task_id,
            group_id=new_group_id(),
            endpoint_id=EndpointId("e" * 36),
            endpoint="theta",
            service=session.connection.address,
            at=at,
            title="fit()",
        )
    )
    return task_id


def test_when_it_was_deleted_and_what_can_be_done(session, monkeypatch):
    task_id = sent(session, TWELFTH_OF_MAY - 8 * DAY)
    session.ended(task_id, TaskState.SUCCESS, at=TWELFTH_OF_MAY - 7 * DAY)
    short = words.short_id(task_id)
    told = missing(session, task_id)
    assert isinstance(told, ResultExpired)
    assert str(told) == (
        f"The result of {short} was deleted on 12 May (kept 7 days). Its inputs are not recorded any more: run its cell again."
    )
    monkeypatch.setattr(session, "why_not_again", lambda _: "")
    assert str(missing(session, task_id)) == (
        f"The result of {short} was deleted on 12 May (kept 7 days). "
        f"`%funcx rerun {short}` runs it again with the recorded inputs and environment."
    )
    assert missing(session, task_id)._render_traceback_() == [f"ResultExpired: {missing(session, task_id)}"]


def test_a_day_is_not_told_where_it_is_not_known(session):
    now = TWELFTH_OF_MAY
    ended = sent(session, now - 2 * DAY)
    session.ended(ended, TaskState.SUCCESS, at=now - DAY)  # It should be there still: somebody has deleted it.
    assert "was deleted. Its inputs" in str(missing(session, ended, now=now))
    unseen = sent(session, now - 9 * DAY)
    assert "was deleted. Its inputs" in str(missing(session, unseen, now=now))


def test_one_that_never_arrived_is_told_from_one_that_was_deleted(session):
    now = TWELFTH_OF_MAY
    told = missing(session, sent(session, now - DAY), now=now)
    assert "The service never got it: run its cell again." in str(told)
    foreign = missing(session, new_task_id(), now=now)
    assert not isinstance(foreign, ResultExpired)
    assert isinstance(foreign, TaskNotFound)


def test_a_journal_of_an_older_kernel_is_read(session, tmp_path):
    task_id = sent(session, TWELFTH_OF_MAY)
    (file,) = (tmp_path / "home" / "notebooks").glob("*.jsonl")
    with file.open("ab") as lines:
        lines.write(b'{"type":"ended","task_id":"%s","state":"success"}\n' % task_id.encode())
    assert session.recall.end_of(task_id) is TaskState.SUCCESS
    assert session.recall.ended_at(task_id) == 0.0
