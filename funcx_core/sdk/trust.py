"""Whose results may run code here.

Loading a pickle runs what its maker put into it. So results are loaded whole only from endpoints of one's own and from those that
were named as trusted; from shared and public ones plain data is taken and everything else refused, with what to do about it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from typing import Any, Final, Protocol

from funcx_core.errors import FuncxError, InvalidId, NotPlainData, ResultLoadError, ResultNotTrusted
from funcx_core.ids import parse_id
from funcx_core.protocol.task import TaskError, TaskResult, TaskState
from funcx_core.serialize import rebuild_exception, unpack_value

VARIABLE: Final = "FUNCX_TRUSTED_ENDPOINTS"
_ASK_AGAIN_AFTER: Final = 10.0
"""Seconds: an endpoint that was not among one's own may have been started since."""


class TrustedEndpoints:
    """The endpoints that a user owns, and those that were named.

    Args:
        named: ids or names; without them those in FUNCX_TRUSTED_ENDPOINTS, which are divided by commas.
        list_endpoints: asks the service; called only for an endpoint of which nothing is known yet.
    """

    def __init__(
        self, named: Iterable[str] | str | None, list_endpoints: Callable[[], Iterable[dict[str, Any]]]
    ) -> None:
        self._ids, self._names = _ids_and_names(os.environ.get(VARIABLE, "") if named is None else named)
        self._list_endpoints = list_endpoints
        self._found: frozenset[str] = frozenset()
        self._asked_at: dict[str, float] = {}

    def __contains__(self, endpoint_id: str) -> bool:
        """Whether results of this endpoint may run code here.

        Raises:
            FuncxError: the service was asked and gave no answer.
        """
        if endpoint_id in self._ids or endpoint_id in self._found:
            return True
        now = time.monotonic()
        if now - self._asked_at.get(endpoint_id, -_ASK_AGAIN_AFTER) < _ASK_AGAIN_AFTER:
            return False
        self.learn(self._list_endpoints())
        self._asked_at[endpoint_id] = now
        return endpoint_id in self._found

    def learn(self, rows: Iterable[dict[str, Any]]) -> None:
        """Take note of what the service lists. What it does not call `owned` or not owned, is owned."""
        rows = list(rows)
        owned = {str(row["uuid"]) for row in rows if row.get("owned", True) is True}
        self._found = frozenset(owned | set(filter(None, (_only(rows, name) for name in self._names))))


def _ids_and_names(named: Iterable[str] | str) -> tuple[frozenset[str], frozenset[str]]:
    ids, names = set(), set()
    for name in named.split(",") if isinstance(named, str) else map(str, named):
        try:
            ids.add(parse_id(name.strip()))
        except InvalidId:
            names.add(name.strip())
    return frozenset(ids), frozenset(names - {""})


def _only(rows: list[dict[str, Any]], name: str) -> str | None:
    """Return the id of the one endpoint with this name: a stranger may give theirs the name of one that you trust."""
    found = [str(row["uuid"]) for row in rows if row.get("name") == name]
    return found[0] if len(found) == 1 else None


class Reader(Protocol):
    """Opens what became of a task."""

    def open(self, outcome: TaskResult) -> tuple[Any, BaseException | None]:
        """Return the value of a task, or None and its exception. Never raises an `Exception`."""


class TrustingReader:
    """Opens outcomes: all of them if `trusts` says so of the task, else plain data.

    Args:
        trusts: whether the task ran where its result may run code here. It may ask the service, and raise `FuncxError`.
        asks_first: the answer is the same for all tasks: it is asked for first, and once it is yes not again. If False, asking costs
            a request for each task, and is done only where plain data is not enough.
    """

    def __init__(self, trusts: Callable[[str], bool], *, asks_first: bool = True) -> None:
        self._trusts = trusts
        self._asks_first = asks_first
        self._is_sure = False  # the one endpoint that it reads from is trusted

    def open(self, outcome: TaskResult) -> tuple[Any, BaseException | None]:
        """Return the value of a task, or None and its exception. Never raises an `Exception`."""
        if outcome.state is not TaskState.SUCCESS:
            return None, self._exception(outcome)
        task_id, payload = outcome.task_id, outcome.value
        try:
            return unpack_value(payload) if self._is_sure else self._value(task_id, payload), None
        except NotPlainData as refusal:
            return None, _not_trusted(task_id, payload, refusal)
        except Exception as cause:  # noqa: BLE001 - loading runs code that may be missing or broken here
            return None, load_failure(task_id, payload, cause)

    def _value(self, task_id: str, payload: bytes) -> Any:
        if self._asks_first and self._may(task_id):
            self._is_sure = True
            return unpack_value(payload)
        try:
            return unpack_value(payload, data_only=True)
        except NotPlainData:
            if self._trusts(task_id):
                return unpack_value(payload)
            raise

    def _exception(self, outcome: TaskResult) -> BaseException:
        error = outcome.error or _unexplained(outcome.state)
        return rebuild_exception(
            error, outcome.task_id, data_only=bool(error.exception) and not self._may(outcome.task_id)
        )

    def _may(self, task_id: str) -> bool:
        try:
            return self._trusts(task_id)
        except FuncxError:
            return False  # The service cannot be asked now; plain data and builtin exceptions need no answer.


STRANGER: Final[Reader] = TrustingReader(lambda _: False)
"""Takes plain data only."""


def load_failure(task_id: str, raw: bytes, cause: Exception) -> ResultLoadError:
    """Return the error for a result that arrived and cannot be opened."""
    reason = cause.__cause__ if isinstance(cause.__cause__, Exception) else cause
    error = ResultLoadError(
        f"The result of task {task_id} arrived, but it cannot be loaded here: {type(reason).__name__}: {str(reason)[:300]}. "
        'Its bytes are in error.details["raw"].',
        task_id=task_id,
        details={"raw": raw},
    )
    error.__cause__ = reason
    return error


def _not_trusted(task_id: str, raw: bytes, refusal: NotPlainData) -> ResultNotTrusted:
    error = ResultNotTrusted(
        f"The result of task {task_id} holds {refusal.what}, and its endpoint is not yours: loading it may run code of whoever "
        "owns the endpoint. Return plain values or numpy arrays from the function; or, if you trust the endpoint, name it: "
        f"FuncXClient(trusted_endpoints=[...]) or {VARIABLE}.",
        task_id=task_id,
        details={"raw": raw},
    )
    error.__cause__ = refusal
    return error


def _unexplained(state: TaskState) -> TaskError:
    code = "task_cancelled" if state is TaskState.CANCELLED else "task_failed"
    return TaskError(code=code, message=f"The task ended as {state.value}.")
