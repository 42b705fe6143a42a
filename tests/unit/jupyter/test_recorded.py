"""What cells were sent with, for kernels that come later."""

from __future__ import annotations

import os
import stat
import time

import msgspec
import pytest

from funcx_core.cells.spec import CellSpec
from funcx_core.errors import UsageError
from funcx_core.ids import EndpointId, TaskId, new_group_id, new_task_id
from funcx_core.protocol.task import TaskOptions, TaskState
from funcx_jupyter.session import recorded
from funcx_jupyter.session.expired import missing
from funcx_jupyter.session.journal import Submission
from funcx_jupyter.session.recorded import OFF, VARIABLE, Recorded, Records, Sent
from funcx_jupyter.session.state import Session, TaskRecord
from funcx_jupyter.session.watch import Mailbox
from tests.unit.jupyter.fake_service import LOCAL, FakeConnection

SPEC = CellSpec(source="6 * 7", filename="<cell>", keep=["x"])
RECORD = Recorded(
    endpoint="local", cell="6 * 7", name="", sent=Sent(LOCAL.endpoint_id, SPEC, TaskOptions(walltime=3.0))
)


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("FUNCX_HOME", str(tmp_path / "home"))
    monkeypatch.delenv(VARIABLE, raising=False)
    return tmp_path / "home" / "notebooks" / "inputs"


def test_it_is_read_again_and_by_nobody_else(home):
    task_id = new_task_id()
    Records().keep(task_id, RECORD)
    assert Records().load(task_id) == RECORD
    assert stat.S_IMODE((home / task_id).stat().st_mode) == 0o600
    Records().forget(task_id)
    assert (Records().has(task_id), Records().load(task_id)) == (False, None)


def test_nothing_large_is_written_and_nothing_at_all_if_it_is_not_wanted(home, monkeypatch):
    large = msgspec.structs.replace(SPEC, values=bytes(recorded.MOST_OF_ONE))
    Records().keep(new_task_id(), msgspec.structs.replace(RECORD, sent=Sent(LOCAL.endpoint_id, large, TaskOptions())))
    monkeypatch.setenv(VARIABLE, OFF)
    Records().keep(new_task_id(), RECORD)
    assert not home.exists()


@pytest.mark.parametrize("content", [b"", b"not what was written"])
def test_what_cannot_be_read_is_not_known(home, content):
    task_id = new_task_id()
    Records().keep(task_id, RECORD)
    (home / task_id).write_bytes(content)
    assert Records().load(task_id) is None


def test_no_name_leads_out_of_the_folder(home):
    assert not Records().has(TaskId("../../service.json"))
    assert Records().load(TaskId("../../service.json")) is None


def test_what_is_old_or_too_much_goes(home, monkeypatch):
    known = [new_task_id() for _ in range(4)]
    records = Records()
    for age, task_id in zip((100 * 86400, 300, 200, 100), known, strict=True):
        records.keep(task_id, RECORD)
        os.utime(home / task_id, (time.time() - age,) * 2)
    monkeypatch.setattr(recorded, "MOST_FILES", 3)
    Records().keep(last := new_task_id(), RECORD)  # The first of a kernel looks after the others.
    assert {path.name for path in home.iterdir()} == {known[2], known[3], last}


def test_a_later_kernel_runs_it_again(home, tmp_path):
    first, second = Session(FakeConnection), Session(FakeConnection)
    for session in (first, second):
        session.recall.open(str(tmp_path / "book.ipynb"))
    task_id = new_task_id()
    submission = Submission(
        task_id=task_id,
        group_id=new_group_id(),
        endpoint_id=EndpointId(LOCAL.endpoint_id),
        endpoint="local",
        service=first.connection.address,
        at=time.time() - 9 * 86400,
        title="6 * 7",
    )
    first.recall.sent(submission)
    first.remember(TaskRecord(task_id=task_id, endpoint="local", cell="6 * 7", sent=RECORD.sent))
    first.ended(task_id, TaskState.SUCCESS, at=time.time() - 9 * 86400)
    assert "runs it again with the recorded inputs and environment." in str(missing(second, task_id))
    second.connection.hold = True
    again, _ = second.resubmit(task_id, Mailbox())
    assert (again.title, again.refs, again.endpoint) == ("6 * 7", ["x"], "local")
    assert second.connection.specs == [SPEC]
    assert second.tasks[again.task_id].sent == RECORD.sent
    Records().forget(task_id)
    with pytest.raises(UsageError, match="Its inputs are not kept any more"):
        second.resubmit(task_id, Mailbox())
