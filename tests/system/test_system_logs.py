"""What the logs of an endpoint tell of a task."""

import json

import pytest

from tests.support.fabric import Fabric


def double(number):
    return 2 * number


@pytest.fixture(scope="module")
def traced(tmp_path_factory):
    with Fabric(tmp_path_factory.mktemp("traced")) as fabric:
        fabric.stop_endpoint("local")
        fabric.start_endpoint("local", "--log-level", "trace")
        yield fabric


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_trace_follows_each_task_through_every_hop(traced):
    with traced.executor() as executor:
        future = executor.submit(double, 21)
        assert future.result(20) == 42
    folder = traced.home / "local" / "logs"
    found = lines(folder / "agent.log")
    for path in folder.glob("manager-*.log"):
        found += lines(path)
    story = sorted(
        (line["ts"], line["process"], line["message"]) for line in found if line.get("task_id") == future.task_id
    )
    assert [(process, message) for _, process, message in story][:6] == [
        ("agent", "arrived"),
        ("agent", "leased"),
        ("manager", "arrived"),
        ("manager", "dealt"),
        ("manager", "ended"),
        ("agent", "ended"),
    ]


def test_every_line_of_a_manager_names_its_block_and_itself(traced):
    with traced.executor() as executor:
        executor.submit(double, 1).result(20)
    for path in (traced.home / "local" / "logs").glob("manager-*.log"):
        for line in lines(path):
            assert line["block_id"]
            assert line["manager_id"]
            assert line["endpoint_id"] == traced.endpoint_id
            assert (line["process"], line["thread"]) == ("manager", "MainThread")
