"""How the loss of a started task is told: whoever leases to an endpoint makes this error, from what the endpoint knows of it."""

from __future__ import annotations

from typing import Any, Final

from funcx_core.protocol.task import TaskError

_LOST: Final = {
    "worker_lost": "The worker process died{how} while it ran the task.",
    "manager_lost": "The node's manager was lost while the task ran.",
    "endpoint_lost": "The endpoint's agent died while the task ran.",
}


def loss_error(reason: str, details: dict[str, Any], *, losses: int, advice: str = "") -> TaskError:
    """Return the error of a task that was lost with what ran it and may not run again.

    Args:
        reason: code of the error class (``worker_lost``, ``manager_lost``, ``endpoint_lost``).
        details: plain facts about the loss, see `GiveBack`.
        losses: how often the task was lost by now.
        advice: how to have it run again, if that would help.
    """
    if reason == "worker_lost" and losses > 1:
        text = f"The task killed {losses} workers, one in each attempt; it is not run again."
        return TaskError(code="task_poisoned", message=text, details=details)
    code = reason if reason in _LOST else "endpoint_lost"
    is_over = "memory_limit" in details or "processes_limit" in details  # And would be again.
    again = f" {advice}" if advice and not is_over else ""
    return TaskError(code=code, message=_LOST[code].format(how=_how(details)) + again, details=details)


def _how(details: dict[str, Any]) -> str:
    used, limit = details.get("memory_used"), details.get("memory_limit")
    if isinstance(used, int) and isinstance(limit, int):
        used_mb, limit_mb = f"{used / 1e6:,.0f} MB", f"{limit / 1e6:,.0f} MB"
        return f" (out of memory: it used {used_mb}, and the endpoint's mem_per_worker allows {limit_mb})"
    if (limit := details.get("processes_limit")) is not None:
        return f" (it had more processes than the {limit} that the endpoint's max_processes_per_worker allows)"
    if details.get("oom"):
        return " (out of memory)"
    if details.get("signal"):
        return f" (signal {details['signal']})"
    if details.get("exitcode") is not None:
        return f" (exit code {details['exitcode']})"
    return ""
