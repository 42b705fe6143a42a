"""The journal of a notebook: what a kernel that was killed has left, and what several kernels make of one file."""

from __future__ import annotations

import os
import stat
import time

import msgspec
import pytest

from funcx_core.cells.spec import CellSpec, Stream
from funcx_core.ids import TaskId
from funcx_core.protocol.task import TaskState
from funcx_jupyter.capture.streams import LEAST, Packed
from funcx_jupyter.session import journal as module
from funcx_jupyter.session.journal import Journal, Submission
from funcx_jupyter.session.recall import Recall
from funcx_jupyter.session.sending import content_hash

SERVICE = "http://127.0.0.1:1/v2"


def a_submission(number: int = 1, **fields: object) -> Submission:
    known: dict = {
        "group_id": "g",
        "endpoint_id": "e",
        "endpoint": "theta",
        "service": SERVICE,
        "at": 1.0,
        "title": "f()",
    }
    return Submission(task_id=TaskId(f"t{number}"), **(known | fields))


def test_what_was_sent_is_there_for_the_next_kernel(tmp_path):
    path = tmp_path / "book.jsonl"
    Journal(path).sent(a_submission(1, outputs=["x"], cell_id="c"))
    first = Journal(path)
    first.ended(TaskId("t1"), TaskState.SUCCESS)
    again = Journal(path)
    assert again.submissions() == [a_submission(1, outputs=["x"], cell_id="c")]
    assert again.end_of(TaskId("t1")) is TaskState.SUCCESS
    assert again.end_of(TaskId("t2")) is None


def test_only_its_owner_may_read_it_and_no_two_notebooks_share_one(tmp_path, monkeypatch):
    monkeypatch.setenv("FUNCX_HOME", str(tmp_path / "home"))
    Journal.of("/a/book.ipynb").sent(a_submission())
    assert Journal.of("/b/book.ipynb").submissions() == []
    assert len(Journal.of("/a/book.ipynb").submissions()) == 1
    (path,) = (tmp_path / "home" / "notebooks").iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_torn_line_and_one_of_a_newer_version_hide_nothing_else(tmp_path):
    path = tmp_path / "book.jsonl"
    Journal(path).sent(a_submission(1))
    with path.open("ab") as file:
        file.write(b'{"type":"of a newer version"}\n{"type":"sent","task')
    reader = Journal(path)
    assert [one.task_id for one in reader.submissions()] == ["t1"]


def test_two_kernels_of_one_notebook_see_what_the_other_sends(tmp_path):
    one, other = Journal(tmp_path / "b"), Journal(tmp_path / "b")
    one.sent(a_submission(1))
    other.sent(a_submission(2))
    assert [each.task_id for each in one.submissions()] == ["t1", "t2"]
    other.ended(TaskId("t1"), TaskState.FAILED)
    assert one.end_of(TaskId("t1")) is TaskState.FAILED


def test_it_does_not_grow_for_ever(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "TIDY_OVER", 2_000)
    monkeypatch.setattr(module, "MOST_KEPT", 5)
    path = tmp_path / "b"
    one, other = Journal(path), Journal(path)
    for number in range(50):
        (one if number % 3 else other).sent(a_submission(number))
        one.ended(TaskId(f"t{number}"), TaskState.SUCCESS)
    assert path.stat().st_size < 3_000
    assert [each.task_id for each in other.submissions()][-5:] == [f"t{number}" for number in range(45, 50)]
    assert one.end_of(TaskId("t49")) is other.end_of(TaskId("t49")) is TaskState.SUCCESS
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_files_of_notebooks_that_are_out_of_use_go(tmp_path, monkeypatch):
    monkeypatch.setenv("FUNCX_HOME", str(tmp_path / "home"))
    Journal.of("old").sent(a_submission())
    (path,) = (tmp_path / "home" / "notebooks").iterdir()
    long_ago = time.time() - module.STALE_AFTER - 60
    os.utime(path, (long_ago, long_ago))
    Journal.of("new")
    assert not path.exists()


def test_without_a_journal_it_warns_once_and_goes_on(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("FUNCX_HOME", str(tmp_path / "file"))
    recall = Recall()
    recall.open("book")
    with pytest.warns(UserWarning, match="cannot be attached to after a restart"):
        recall.sent(a_submission())
    recall.sent(a_submission())
    assert recall.submissions(SERVICE) == []


def test_tasks_of_another_service_are_not_offered(tmp_path, monkeypatch):
    monkeypatch.setenv("FUNCX_HOME", str(tmp_path / "home"))
    recall = Recall()
    recall.open("book")
    recall.sent(a_submission(1, service="http://elsewhere/v2"))
    recall.sent(a_submission(2))
    assert [one.task_id for one in recall.submissions(SERVICE)] == ["t2"]


def test_the_hash_of_a_cell_is_the_same_after_a_restart_and_differs_for_other_inputs():
    spec = CellSpec(
        source="f(x)", filename="/tmp/ipykernel_1234/99.py", names=["f"], values=b".../tmp/ipykernel_1234/7.py..."
    )
    after = msgspec.structs.replace(
        spec,
        filename="/tmp/ipykernel_5678/99.py",
        places={"/tmp/ipykernel_5678/99.py": "Cell In[7]"},
        values=b".../tmp/ipykernel_5678/7.py...",
    )
    assert content_hash(spec, "e") == content_hash(after, "e")
    assert content_hash(msgspec.structs.replace(spec, keep_value=True), "e") == content_hash(spec, "e"), "with -a"
    for other in ({"values": b"other"}, {"source": "f(y)"}, {"outputs": ["z"]}):
        assert content_hash(msgspec.structs.replace(spec, **other), "e") != content_hash(spec, "e")
    assert content_hash(spec, "elsewhere") != content_hash(spec, "e")


def test_the_last_runs_of_a_cell_say_how_long_it_takes(tmp_path, monkeypatch):
    monkeypatch.setenv("FUNCX_HOME", str(tmp_path / "home"))
    recall = Recall()
    recall.open("book.ipynb")
    assert recall.expected(SERVICE, "e", code="a") is None
    for number, (code, seconds, state) in enumerate(
        [
            ("a", 10, TaskState.SUCCESS),
            ("a", 30, TaskState.SUCCESS),
            ("a", 99, TaskState.FAILED),
            ("b", 5, TaskState.SUCCESS),
        ]
    ):
        recall.sent(a_submission(number, code=code, cell_id="c"))
        recall.ended(TaskId(f"t{number}"), state, seconds=seconds)
    again = Recall()  # of another kernel
    again.open("book.ipynb")
    assert again.expected(SERVICE, "e", code="a", cell_id="c") == 20
    assert again.expected(SERVICE, "e", code="changed", cell_id="c") == 10
    assert again.expected(SERVICE, "e", code="changed") is None
    assert again.expected(SERVICE, "elsewhere", code="a", cell_id="c") is None


def test_large_pickles_with_code_are_the_same_after_a_restart_too():
    def sent(kernel: int, text: bytes) -> str:
        packed = Packed()
        piece = packed.keep(f"/tmp/ipykernel_{kernel}/1.py".encode() + text * LEAST)
        spec = CellSpec(source="f()", filename="", streams=[Stream(["f"], piece)])
        return content_hash(spec, "e", packed.parts)

    assert sent(1, b"x") == sent(22, b"x")
    assert sent(1, b"x") != sent(1, b"y")
