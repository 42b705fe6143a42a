"""Parameter studies on a whole fabric."""

import inspect
import subprocess
import sys
import time

import pytest

import funcx
from funcx_core.errors import MapNotFound, TaskPending, UsageError
from tests.support.fabric import eventually


def area(width, height=2):
    return {"area": width * height, "kind": "wide" if width > height else "tall"}


def brittle(path, x):
    import pathlib

    tries = pathlib.Path(path) / f"{x}"
    with tries.open("a") as file:
        file.write("x")
    if x % 2 and tries.stat().st_size <= x:
        raise ValueError(f"{x} is odd")
    return x * 10


def held(gate, x):
    import pathlib
    import time

    deadline = time.monotonic() + 60
    while x and not pathlib.Path(gate).exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    return x


@pytest.fixture
def client(fabric):
    with fabric.client() as client:
        yield client


def test_a_grid_becomes_a_table(client):
    study = funcx.grid(
        area,
        {
            "height": [1, 4],
            "width": range(3),
        },
        client=client,
        name="areas",
    )
    assert study.wait(60, show=False)
    table = study.table()
    assert list(table.columns) == [
        "height", "width", "area", "kind", "state", "error", "attempts", "queue", "run", "task_id", "endpoint",
    ]  # fmt: skip
    assert list(table["area"]) == [0, 1, 2, 0, 4, 8]
    assert set(table["state"]) == {"succeeded"}
    assert set(table["endpoint"]) == {"local"}
    assert (table["queue"] >= 0).all()
    assert (table["run"] >= 0).all()
    assert (table["run"] < 60).all()
    assert table.attrs == {"grid_id": study.grid_id, "name": "areas"}
    assert table.index.name == "point"
    assert study[5] == {"area": 8, "kind": "tall"}
    assert str(study.progress()) == "6 points: 6 succeeded"
    assert "'areas'" in repr(study)
    with pytest.raises(IndexError):
        study[6]


def test_the_table_is_there_while_points_run(client, tmp_path):
    gate = tmp_path / "gate"
    study = funcx.grid(held, {"gate": str(gate), "x": [0, 1]}, client=client, chunksize=1)
    eventually(
        lambda: [row["state"] for row in study.rows()] == ["succeeded", "running"],
        "the first result is here",
        timeout=30,
    )
    assert [row.get("result") for row in study] == [0, None]
    assert not study.wait(0.01, show=False)
    with pytest.raises(TaskPending):
        study[1]
    gate.touch()
    assert study.wait(60, show=False)
    assert [row["result"] for row in study] == [0, 1]


def test_failed_points_alone_run_again(client, tmp_path):
    study = funcx.grid(brittle, {"path": str(tmp_path), "x": [0, 1, 2]}, client=client, chunksize=3)
    assert study.wait(60, show=False)
    assert [row["error"] for row in study] == [None, "ValueError: 1 is odd", None]
    assert {point: type(error) for point, error in study.failures().items()} == {1: ValueError}
    assert study.retry() == 1
    assert study.wait(60, show=False)
    assert [(row["result"], row["attempts"]) for row in study] == [(0, 1), (10, 2), (20, 1)]
    assert study.retry() == 0
    assert [(tmp_path / str(x)).stat().st_size for x in range(3)] == [1, 2, 1]


def test_raised_errors_are_retried_as_often_as_was_asked(client, tmp_path):
    study = funcx.grid(brittle, {"path": str(tmp_path), "x": [1, 2, 7]}, client=client, retries=2)
    assert study.wait(60, show=False)
    assert [(row["state"], row["attempts"]) for row in study] == [("succeeded", 2), ("succeeded", 1), ("failed", 3)]


def test_another_process_goes_on_by_name(fabric, client, tmp_path):
    gate = tmp_path / "gate"
    name = f"held {time.time_ns()}"
    made = f"""
import funcx
{inspect.getsource(held)}
print(funcx.grid(held, {{"gate": {str(gate)!r}, "x": [0, 1, 2]}}, name={name!r}, chunksize=1).grid_id)
"""
    script = tmp_path / "study.py"
    script.write_text(made)
    ran = subprocess.run(
        [sys.executable, script], env=fabric.environment(), capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    study = funcx.get_grid(name, client=client)
    assert study.grid_id == ran.stdout.strip()
    eventually(lambda: study.rows()[0].get("result") == 0, "the first result is here", timeout=30)
    assert study.progress().open == 2
    gate.touch()
    assert study.wait(60, show=False)
    assert [(row["x"], row["result"]) for row in study] == [(0, 0), (1, 1), (2, 2)]
    again = funcx.get_grid(study.grid_id, client=client)
    assert all(row["run"] >= 0 for row in again)
    assert [row["result"] for row in again] == [0, 1, 2]


def test_what_is_no_grid_is_said(client):
    with pytest.raises(MapNotFound, match="no such study"):
        funcx.get_grid("no such study", client=client)
    plain = funcx.map(abs, [1], client=client)
    with pytest.raises(UsageError, match="a map without parameters"):
        funcx.get_grid(plain.map_id, client=client)
    with pytest.raises(UsageError, match="cannot be called with depth"):
        funcx.grid(area, {"depth": [1]}, client=client)
    with pytest.raises(UsageError, match="retries is 11"):
        funcx.grid(area, {"width": [1]}, client=client, retries=11)


def test_a_cancelled_study_goes_on(client, tmp_path):
    gate = tmp_path / "gate"
    study = funcx.grid(held, {"gate": str(gate), "x": [0, 1, 2]}, client=client, chunksize=1)
    eventually(lambda: study.rows()[0]["state"] == "succeeded", "the first result is here", timeout=30)
    study.cancel()
    assert study.wait(60, show=False)
    assert [row["state"] for row in study] == ["succeeded", "cancelled", "cancelled"]
    gate.touch()
    assert study.resume() == 2
    assert study.wait(60, show=False)
    assert [row["result"] for row in study] == [0, 1, 2]
    study.delete()


def test_a_hundred_thousand_points_are_less_than_a_thousand_tasks(client):
    study = funcx.grid(area, {"width": range(500), "height": range(200)}, client=client)
    assert study.wait(110, show=False)
    rows = study.rows()
    assert [row["area"] for row in rows] == [row["width"] * row["height"] for row in rows]
    assert len({row["task_id"] for row in rows}) < 1000
