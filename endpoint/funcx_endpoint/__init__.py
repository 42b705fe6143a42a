"""The endpoint: agent, interchange, blocks, managers and workers on the machine where functions run."""

from __future__ import annotations

from typing import Any


def kept_result(task_id: str) -> Any:
    """Return the value of a task whose result could not be sent, because it was too large or the service had no room for it.

    To be called by a function that runs on the same endpoint, for a task of the same user. Such values stay for a day, unless there
    is no room for them; the task's error says so.

    Raises:
        ValueNotKept: it is not there, or not there any more.
    """
    from funcx_endpoint.worker import kept_results  # noqa: PLC0415 - processes that are no workers need none of it

    return kept_results.kept_result(task_id)
