"""Records between a manager and a worker, and the page they share."""

from __future__ import annotations

import os
from pathlib import Path

from funcx_core.ids import TaskId
from funcx_core.protocol.codec import encode
from funcx_core.protocol.task import TaskResult, TaskState
from funcx_core.protocol.worker import Finished, from_worker
from funcx_endpoint.worker import records
from funcx_endpoint.worker.page import BUFFERED, DONE, STARTED, Page, read_numbers


def test_small_and_large_records_arrive_whole() -> None:
    left, right = records.socketpair()
    with left, right:
        for size in (1, records.INLINE, records.INLINE + 1, 5_000_000):
            body = os.urandom(size)
            records.send(left, body)
            record = records.receive(right)
            assert bytes(record.view) == body
            record.close()


def test_the_end_of_the_stream_is_none() -> None:
    left, right = records.socketpair()
    left.close()
    with right:
        assert records.receive(right) is None


def test_two_large_inline_records_fit_unread() -> None:
    left, right = records.socketpair()
    with left, right:
        left.setblocking(False)
        for _ in range(2):
            records.send(left, b"x" * records.INLINE)


def a_result(name: str) -> TaskResult:
    return TaskResult(TaskId(name), 1, TaskState.SUCCESS, b"value")


def test_kept_results_are_one_record_for_the_sender_and_for_the_heir(tmp_path: Path) -> None:
    worker, descriptor = Page.create(tmp_path / "page")
    manager = Page(descriptor)
    assert manager.leftover() == b""
    for name in ("a", "b"):
        assert worker.keep(encode(a_result(name)))
    expected = Finished([a_result("a"), a_result("b")])
    assert from_worker.decode(worker.record()) == expected
    assert from_worker.decode(manager.leftover()) == expected
    worker.sent()
    assert manager.leftover() == b""
    assert worker.keep(encode(a_result("c")))
    assert from_worker.decode(manager.leftover()) == Finished([a_result("c")])


def test_a_page_that_is_full_says_so(tmp_path: Path) -> None:
    page, _ = Page.create(tmp_path / "page")
    count = 0
    while page.keep(b"x" * 1000):
        count += 1
    assert count == page.kept > 50


def test_numbers_are_read_from_the_file_when_nobody_maps_it(tmp_path: Path) -> None:
    path = tmp_path / "page"
    page, _ = Page.create(path)
    page.numbers[STARTED], page.numbers[DONE], page.numbers[BUFFERED] = 7, 5, 0
    assert read_numbers(path) == (7, 5)
    assert read_numbers(tmp_path / "none") == (0, 0)
