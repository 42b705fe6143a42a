"""Which managers an agent works with."""

from __future__ import annotations

import msgspec
import pytest

from funcx_core.ids import BlockId, ManagerId
from funcx_core.protocol.manager import ManagerRegister
from funcx_endpoint.interchange.versions import mismatch

MANAGER = ManagerRegister(
    manager_id=ManagerId("m"),
    block_id=BlockId("0"),
    epoch=1,
    capacity=1,
    hostname="node7",
    pid=1,
    python_version="3.11.7",
    version="0.1.0",
    cores=1,
    memory_bytes=0,
)


@pytest.mark.parametrize("python", ["3.11.7", "3.12.0"])
def test_another_minor_version_of_python_is_no_obstacle(python: str) -> None:
    assert mismatch(MANAGER, python) == ""


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"python_version": "9.9.0"}, "on node7 runs Python 9.9.0, the agent 3.11.7"),
        ({"protocol_version": 99, "version": "7.0"}, "on node7 is of funcX 7.0 and speaks protocol 99"),
    ],
)
def test_what_cannot_work_says_both_versions(change: dict[str, object], said: str) -> None:
    assert said in mismatch(msgspec.structs.replace(MANAGER, **change), "3.11.7")
