"""The values that stay on an endpoint: who gets at them, for how long, and how many there may be."""

from __future__ import annotations

import os
import stat
import time

import pytest

from funcx_core.errors import ValueNotKept
from funcx_endpoint.kept import MOST_SPARE, KeptFolder, KeptKey, Manner

TASK = "0190d8a4-0000-7000-8000-000000000001"
OTHER = "0190d8a4-0000-7000-8000-000000000002"
MODEL = KeptKey("carol", TASK, "model")


@pytest.fixture
def folder(tmp_path):
    made = KeptFolder(tmp_path / "kept", lifetime=3600.0, limit=1000)
    made.open()
    return made


def keep(folder, key=MODEL, content=b"x", manner=Manner.ASKED):
    with folder.writing(key, manner) as file:
        file.write(content)


def read(folder, key=MODEL):
    with folder.open_value(key) as file:
        return file.read()


def half(folder):
    with folder.writing(MODEL, Manner.ASKED) as file:
        file.write(b"half of it")
        file.write(1 / 0)


def files(tmp_path):
    return sorted(path.name for path in tmp_path.glob("kept/*/*"))


def age(tmp_path, seconds):
    for path in tmp_path.glob("kept/*/*"):
        os.utime(path, (time.time() - seconds,) * 2)


def test_a_value_is_there_for_another_object_and_for_nobody_else(folder, tmp_path):
    keep(folder, content=b"weights")
    again = KeptFolder(tmp_path / "kept", lifetime=3600.0, limit=1000)
    assert read(again) == b"weights"
    with pytest.raises(ValueNotKept, match=r"`model` of task .* is not on this endpoint any more"):
        read(folder, MODEL._replace(owner="dave"))
    (path,) = tmp_path.glob("kept/*/*")
    assert (stat.S_IMODE(path.stat().st_mode), stat.S_IMODE(path.parent.stat().st_mode)) == (0o600, 0o700)


@pytest.mark.parametrize(
    "key", [("..", TASK, "model"), ("carol", "../dave/x", "model"), ("carol", TASK, "../x"), ("", TASK, "model")]
)
def test_no_name_leads_out_of_the_folder(folder, key):
    for do in (read, keep):
        with pytest.raises(ValueNotKept):
            do(folder, KeptKey(*key))


def test_what_is_not_whole_is_not_there(folder, tmp_path):
    with pytest.raises(ZeroDivisionError):
        half(folder)
    assert files(tmp_path) == []
    keep(folder, content=b"old")
    with pytest.raises(ZeroDivisionError):
        half(folder)
    assert read(folder) == b"old"


def test_a_value_goes_some_time_after_its_last_use(folder, tmp_path):
    keep(folder)
    age(tmp_path, 3500)
    read(folder)
    age(tmp_path, 3500)
    assert read(folder) == b"x"
    age(tmp_path, 3700)
    with pytest.raises(ValueNotKept) as told:
        read(folder)
    assert told.value.details["why"] == "gone"
    folder.sweep()
    assert files(tmp_path) == []


def test_a_pinned_value_stays(folder, tmp_path):
    keep(folder)
    folder.pin(MODEL, is_pinned=True)
    age(tmp_path, 10**6)
    folder.sweep()
    assert read(folder) == b"x"
    folder.pin(MODEL, is_pinned=False)
    assert files(tmp_path) == [f"{TASK}.model.asked"]
    with pytest.raises(ValueNotKept):
        folder.pin(MODEL._replace(name="other"), is_pinned=True)


def test_what_was_never_completed_goes_after_a_day(folder, tmp_path):
    keep(folder)
    (tmp_path / "kept" / "carol" / "abc.part").write_bytes(b"left by a worker that died")
    folder.pin(MODEL, is_pinned=True)
    folder.sweep()
    assert len(files(tmp_path)) == 2
    age(tmp_path, 25 * 3600)
    folder.sweep()
    assert files(tmp_path) == [f"{TASK}.model.pinned"]


def test_there_is_room_for_so_much_and_spare_values_give_way(folder, tmp_path):
    keep(folder, content=bytes(400))
    keep(folder, MODEL._replace(name="first"), bytes(300), Manner.SPARE)
    age(tmp_path, 100)
    keep(folder, MODEL._replace(name="second"), bytes(200), Manner.SPARE)
    keep(folder, KeptKey("dave", OTHER, "y"), bytes(300))
    assert files(tmp_path) == [f"{TASK}.model.asked", f"{TASK}.second.spare", f"{OTHER}.y.asked"]
    with pytest.raises(
        ValueNotKept, match=r"`z` has 400 bytes or more, and of the 1,000 bytes .* 300 are free"
    ) as told:
        keep(folder, KeptKey("dave", OTHER, "z"), bytes(400))
    assert told.value.details["why"] == "full"
    assert read(folder) == bytes(400)


def test_one_that_replaces_another_of_its_name_is_the_only_one(folder, tmp_path):
    keep(folder, content=b"spare", manner=Manner.SPARE)
    keep(folder, content=b"asked")
    assert files(tmp_path) == [f"{TASK}.model.asked"]
    assert folder.delete(MODEL)
    assert not folder.delete(MODEL)


def test_spare_values_of_a_user_are_so_many(folder, tmp_path):
    there = tmp_path / "kept" / "carol"
    there.mkdir()
    for number in range(MOST_SPARE):
        (there / f"{number}.y.spare").touch()
        os.utime(there / f"{number}.y.spare", (time.time() - 2000 + number,) * 2)
    keep(folder, manner=Manner.SPARE)
    assert len(files(tmp_path)) == MOST_SPARE
    assert not (there / "0.y.spare").exists()


def test_a_node_that_does_not_see_the_folder_says_so(tmp_path):
    folder = KeptFolder(tmp_path / "elsewhere", lifetime=3600.0, limit=1000)
    for do in (keep, read):
        with pytest.raises(ValueNotKept, match="does not see the folder of its endpoint") as told:
            do(folder)
        assert told.value.details["why"] == "unseen"
