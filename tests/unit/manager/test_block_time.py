"""How a manager learns when its block ends."""

from __future__ import annotations

import pytest

from funcx_endpoint.manager.node.block_time import seconds_left

NOW = 1_000_000.0


@pytest.mark.parametrize(
    ("environment", "asked_for", "left"),
    [
        ({}, None, None),
        ({}, 600.0, 600.0),
        ({"FUNCX_BLOCK_STARTED": "999900"}, 600.0, 500.0),
        ({"FUNCX_BLOCK_STARTED": "999000"}, 600.0, 0.0),
        ({"FUNCX_BLOCK_STARTED": "1000100"}, 600.0, 600.0),
        ({"FUNCX_BLOCK_STARTED": "yesterday"}, 600.0, 600.0),
        ({"FUNCX_BLOCK_STARTED": "999900"}, None, None),
        ({"SLURM_JOB_END_TIME": "1000042", "FUNCX_BLOCK_STARTED": "999900"}, 600.0, 42.0),
        ({"SLURM_JOB_END_TIME": "1000042"}, None, 42.0),
    ],
)
def test_the_batch_system_is_asked_first_then_the_script_then_what_was_asked_for(environment, asked_for, left):
    assert seconds_left(environment, asked_for, NOW) == left
