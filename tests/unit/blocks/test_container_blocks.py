"""Blocks for the tasks of one container."""

from __future__ import annotations

import pytest

from funcx_core.protocol.task import ContainerImage, Function, Task, TaskOptions
from funcx_endpoint.blocks.records import Load
from funcx_endpoint.interchange.load import LoadOf
from funcx_endpoint.manager.containers.kinds import ContainerSettings, Kinds


class State:
    managers = ()
    running = 0

    def __init__(self, *containers):
        self.tasks = [
            Task(
                f"t{number}",
                1,
                "f",
                b"",
                None if one is None else TaskOptions(container_id=one.container_id, container=one),
            )
            for number, one in enumerate(containers)
        ]
        self.demand = self.waiting = len(self.tasks)

    def open_tasks(self):
        return iter(self.tasks)


DOCKER = ContainerImage("c1", "docker", "docker://sklearn:1")
SIF = ContainerImage("c2", "singularity", "/images/a.sif")
DELETED = ContainerImage("c3", "", "")


def test_tasks_are_counted_by_container():
    load = LoadOf(State(None, DOCKER, DOCKER, SIF)).load(by_kind=True)
    assert load == Load(4, frozenset(), {"": 1, "c1": 2, "c2": 1})


def test_pods_are_made_of_images_only():
    load = LoadOf(State(DOCKER, SIF, DELETED))
    load.load(by_kind=True)
    assert load.image("c1") == "sklearn:1"
    for kind, said in {"c2": "was registered for singularity", "c3": "was deleted", "c9": "was deleted"}.items():
        with pytest.raises(LookupError, match=said):
            load.image(kind)


def test_a_manager_in_a_container_runs_its_tasks_as_they_are():
    contained, function = State(DOCKER).tasks[0], Function("f", "f", b"")
    assert Kinds(None, "c1").of(contained, function) == ""
    with pytest.raises(LookupError, match="this endpoint runs none"):
        Kinds(None).of(contained, function)
    docker = ContainerSettings(kind="docker")
    assert Kinds(docker, "other").of(contained, function) == "docker://sklearn:1"
