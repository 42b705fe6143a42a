"""Which accelerator and which processors a worker gets."""

from __future__ import annotations

import pytest

from funcx_core.errors import ConfigError
from funcx_endpoint.executors import HighThroughputExecutor
from funcx_endpoint.manager.node.placement import accelerator_variables, processors


def test_each_worker_sees_one_accelerator_under_each_vendors_name() -> None:
    assert accelerator_variables(4, 2, {}) == {
        "CUDA_VISIBLE_DEVICES": "2",
        "ROCR_VISIBLE_DEVICES": "2",
        "HIP_VISIBLE_DEVICES": "0",
        "ZE_AFFINITY_MASK": "2",
        "ZE_ENABLE_PCI_ID_DEVICE_ORDER": "1",
    }
    assert accelerator_variables(0, 2, {}) == accelerator_variables([], 2, {}) == {}


def test_named_accelerators_are_taken_as_they_are() -> None:
    inherited = {"CUDA_VISIBLE_DEVICES": "5,6"}
    assert accelerator_variables(["GPU-a", "GPU-b"], 1, inherited)["CUDA_VISIBLE_DEVICES"] == "GPU-b"
    two = accelerator_variables(["0,1", "2,3"], 1, {})
    assert (two["CUDA_VISIBLE_DEVICES"], two["HIP_VISIBLE_DEVICES"]) == ("2,3", "0,1")


def test_counted_accelerators_are_those_that_the_batch_system_gave() -> None:
    shown = accelerator_variables(2, 1, {"CUDA_VISIBLE_DEVICES": "3,7", "HIP_VISIBLE_DEVICES": "4,5"})
    assert (shown["CUDA_VISIBLE_DEVICES"], shown["ROCR_VISIBLE_DEVICES"]) == ("7", "5")
    assert shown["HIP_VISIBLE_DEVICES"] == "0"
    assert accelerator_variables(2, 1, {"CUDA_VISIBLE_DEVICES": ""})["CUDA_VISIBLE_DEVICES"] == "1"


@pytest.mark.parametrize(
    ("affinity", "expected"),
    [
        ("none", [[], [], []]),
        ("block", [[0, 1], [2, 3], [4, 5]]),
        ("block-reverse", [[5, 6], [3, 4], [1, 2]]),
        ("alternating", [[0, 3, 6], [1, 4], [2, 5]]),
        ("list:6:1,2:9,0", [[6], [1, 2], [0]]),
    ],
)
def test_processors_are_shared_out(affinity: str, expected: list[list[int]]) -> None:
    assert [processors(affinity, worker, 3, range(7)) for worker in range(3)] == expected


def test_more_workers_than_processors_share_them() -> None:
    assert [processors("block", worker, 5, [2, 3]) for worker in range(5)] == [[2], [3], [2], [3], [2]]


def test_there_are_no_more_workers_than_accelerators_and_lists_of_processors() -> None:
    assert HighThroughputExecutor(available_accelerators=2).workers(64, 100) == 2
    assert HighThroughputExecutor(available_accelerators=["0", "1", "2"], max_workers_per_node=1).workers(64, 100) == 1
    assert HighThroughputExecutor(cpu_affinity="list:0,1:2,3").workers(64, 100) == 2
    assert HighThroughputExecutor(cores_per_worker=16).workers(64, 100) == 4
    assert HighThroughputExecutor(cores_per_worker=0.5).workers(2, 100) == 4


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"available_accelerators": "0,1"}, "available_accelerators is '0,1'; a number"),
        ({"available_accelerators": -1}, "available_accelerators is -1"),
        ({"available_accelerators": [0, 1]}, "such as"),
        ({"cpu_affinity": "blok"}, "cpu_affinity is 'blok'; it must be one of none, block"),
        ({"cpu_affinity": "list:a"}, "list:0,1:2,3"),
    ],
)
def test_what_cannot_be_is_told(settings: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        HighThroughputExecutor(**settings)
