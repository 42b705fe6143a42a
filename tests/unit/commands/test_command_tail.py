"""The end of an output in memory, the whole of it in a file."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from funcx_core.commands.tail import Kept, Tail


def a_tail(folder: Path, *, lines: int = 3, size: int = 100, path: str | None = None) -> Tail:
    return Tail(lines=lines, size=size, folder=folder, name=("task.", ".stdout"), path=path)


def test_a_short_output_is_whole_and_makes_no_file(tmp_path):
    tail = a_tail(tmp_path)
    tail.add(b"a\nb\nc\n")
    assert tail.close() == Kept("a\nb\nc\n")
    assert list(tmp_path.iterdir()) == []


def test_more_lines_than_are_kept_go_to_a_file_from_the_first_on(tmp_path):
    tail = a_tail(tmp_path)
    for number in range(10):
        tail.add(b"%d\n" % number)
    kept = tail.close()
    assert kept.text == "7\n8\n9\n"
    assert Path(kept.path).read_text() == "".join(f"{number}\n" for number in range(10))
    assert Path(kept.path).name.startswith("task.")
    assert Path(kept.path).stat().st_mode & 0o077 == 0


def test_one_endless_line_takes_no_more_memory_than_it_may(tmp_path):
    tail = a_tail(tmp_path)
    for _ in range(1000):
        tail.add(b"x" * 50)
        assert len(tail._end) <= 200
    kept = tail.close()
    assert kept.text == "x" * 100
    assert Path(kept.path).stat().st_size == 50_000


def test_a_character_that_is_cut_at_the_beginning_is_left_out(tmp_path):
    tail = a_tail(tmp_path, size=4)
    tail.add("ü€€".encode())
    assert tail.close().text == "€"


@given(st.lists(st.binary(max_size=40), max_size=20), st.integers(0, 5), st.integers(0, 60))
def test_what_is_kept_is_the_end_of_what_was_written(tmp_path_factory, chunks, lines, size):
    tail = a_tail(tmp_path_factory.mktemp("tail"), lines=lines, size=size)
    for chunk in chunks:
        tail.add(chunk)
    kept, written = tail.close(), b"".join(chunks)
    assert kept.text.count("\n") <= lines
    assert (written if kept.path is None else Path(kept.path).read_bytes()) == written
    if kept.path is None:
        assert kept.text == written.decode(errors="replace") or lines == 0
    elif written.isascii():
        assert written.decode().endswith(kept.text)
        assert len(kept.text) <= size


def test_a_named_file_is_appended_to_in_folders_that_are_made(tmp_path):
    for text in (b"one\n", b"two\n"):
        tail = a_tail(tmp_path, path="logs/of/run.txt")
        tail.add(text)
        kept = tail.close()
    assert kept == Kept("two\n", str(tmp_path / "logs/of/run.txt"))
    assert Path(kept.path).read_text() == "one\ntwo\n"


def test_a_named_file_that_cannot_be_opened_is_an_error(tmp_path):
    with pytest.raises(IsADirectoryError):
        a_tail(tmp_path, path=".")


def test_a_disk_that_is_full_is_told_and_ends_nothing(tmp_path):
    tail = a_tail(tmp_path, path="/dev/full")
    tail.add(b"first\n")
    tail.add(b"second\n")
    assert tail.close() == Kept("first\nsecond\n", "/dev/full", "No space left on device")


def test_a_folder_that_takes_no_file_is_told_and_ends_nothing(tmp_path):
    tail = a_tail(tmp_path / "missing", lines=1)
    tail.add(b"first\nsecond\n")
    assert tail.close() == Kept("second\n", None, "No such file or directory")
