"""Which functions were packed and registered already, so that it is done once per function and not per task."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from funcx_core.ids import FunctionId, new_function_id
from funcx_core.protocol.task import Function
from funcx_core.serialize import PackedFunction


class FunctionRegistry:
    """Ids of functions, by the function object and by the content of its body.

    Args:
        register: called once for each body, before its id is returned.
    """

    def __init__(self, register: Callable[[Function], None]) -> None:
        self._register = register
        self._by_object: dict[int, tuple[PackedFunction, FunctionId]] = {}
        self._by_body: dict[bytes, FunctionId] = {}
        self._lock = threading.Lock()

    def function_id(self, function: Any) -> FunctionId:
        """Return the id of a registered function with the present content of `function`.

        Raises:
            SerializationError: if it cannot be sent.
        """
        known = self._by_object.get(id(function))
        if known is not None and known[0].is_current():
            return known[1]
        return self._add(function)

    def known(self, function: Any) -> FunctionId | None:
        """Return the id of `function` if it was registered with its present content."""
        known = self._by_object.get(id(function))
        return known[1] if known is not None and known[0].is_current() else None

    def remember(self, function: Any, function_id: FunctionId) -> FunctionId:
        """Take note that `function`, as it is now, is registered under this id; return the id."""
        packed = PackedFunction(function)
        with self._lock:
            self._by_body[packed.body] = function_id
            self._by_object[id(function)] = packed, function_id
        return function_id

    def _add(self, function: Any) -> FunctionId:
        packed = PackedFunction(function)  # It holds the function, so the id of the object stays taken.
        with self._lock:
            function_id = self._by_body.get(packed.body)
            if function_id is None:
                function_id = new_function_id()
                self._register(Function(function_id, packed.name, packed.body))
                self._by_body[packed.body] = function_id
            self._by_object[id(function)] = packed, function_id
        return function_id
