"""Many calls, to be submitted in one request."""

from __future__ import annotations

from typing import Any

import msgspec

from funcx_core.errors import UsageError
from funcx_core.protocol.payload import as_text
from funcx_core.protocol.task import DEFAULT_OPTIONS, TaskOptions
from funcx_core.serialize import pack_call


class Batch:
    """Collects calls for `FuncXClient.batch_run`.

    >>> batch = client.create_batch()
    >>> batch.add(function_id, endpoint_id, args=(1,))
    >>> task_ids = client.batch_run(batch)

    Args:
        task_group_id: the group of the tasks.
        create_websocket_queue: have results of the group kept for clients that read them from a WebSocket or a broker.
        options: how its tasks are to be run.
    """

    def __init__(
        self,
        task_group_id: str | None = None,
        create_websocket_queue: bool = False,
        *,
        options: TaskOptions = DEFAULT_OPTIONS,
    ) -> None:
        self.task_group_id = task_group_id
        self.create_websocket_queue = create_websocket_queue
        self.options = options
        self.calls: list[tuple[str, str, tuple[Any, ...], dict[str, Any]]] = []

    def add(self, *positional: Any, **keywords: Any) -> None:
        """Add a call: ``add(function_id, endpoint_id, args=(), kwargs={})``.

        The form of releases before 1.0.5 is understood too: ``add(*args, endpoint_id=…, function_id=…, **kwargs)``.

        Raises:
            UsageError: function or endpoint is not named, or the function itself is given for its id.
        """
        if "function_id" in keywords and "endpoint_id" in keywords and not _is_new_form(positional, keywords):
            function_id, endpoint_id = keywords.pop("function_id"), keywords.pop("endpoint_id")
            self.calls.append((_function_id(function_id), str(endpoint_id), positional, keywords))
            return
        try:
            self._add(*positional, **keywords)
        except TypeError as error:
            raise UsageError(
                f"A call needs add(function_id, endpoint_id, args=(...), kwargs={{...}}): {error}."
            ) from None

    @property
    def tasks(self) -> list[tuple[str, str, str]]:
        """The calls as the service takes them: function, endpoint and packed arguments."""
        return [
            (function_id, endpoint_id, as_text(pack_call(args, kwargs)))
            for function_id, endpoint_id, args, kwargs in self.calls
        ]

    def prepare(self) -> dict[str, Any]:
        """Return the body of the request that submits this batch."""
        return {
            "task_group_id": self.task_group_id,
            "tasks": self.tasks,
            "create_websocket_queue": self.create_websocket_queue,
            **({} if self.options == DEFAULT_OPTIONS else {"options": msgspec.to_builtins(self.options)}),
        }

    def __len__(self) -> int:
        return len(self.calls)

    def _add(
        self,
        function_id: Any,
        endpoint_id: Any,
        args: tuple[Any, ...] | list[Any] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> None:
        self.calls.append((_function_id(function_id), str(endpoint_id), tuple(args), dict(kwargs or {})))


def _function_id(given: Any) -> str:
    if callable(given):
        name = getattr(given, "__name__", "the function")
        raise UsageError(f"A function is named by the id that client.register_function({name}) returns, not by itself.")
    return str(given)


def _is_new_form(positional: tuple[Any, ...], keywords: dict[str, Any]) -> bool:
    """Whether the call names its ids by keyword and brings its arguments as `args` and `kwargs`."""
    rest = set(keywords) - {"function_id", "endpoint_id"}
    return (
        not positional
        and bool(rest)
        and rest <= {"args", "kwargs"}
        and isinstance(keywords.get("args", ()), (tuple, list))
    )
