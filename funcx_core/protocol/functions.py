"""Which function bodies the other side of a session still has."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

from funcx_core.ids import FunctionId
from funcx_core.protocol.task import Function

CAPACITY: Final = 512


class FunctionCache:
    """Keeps the most recently used function bodies of one session.

    Sender and receiver of a channel each hold one of the same capacity and touch it in the same order, so the sender
    knows exactly which bodies the receiver has, without asking.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._functions: OrderedDict[FunctionId, Function] = OrderedDict()

    def add(self, functions: Iterable[Function]) -> None:
        """Remember `functions`, each as just used."""
        for function in functions:
            self._functions[function.function_id] = function
            self._functions.move_to_end(function.function_id)
        while len(self._functions) > self._capacity:
            self._functions.popitem(last=False)

    def get(self, function_id: FunctionId) -> Function | None:
        """Return the body and mark it as just used; None if it was never here or was forgotten."""
        function = self._functions.get(function_id)
        if function is not None:
            self._functions.move_to_end(function_id)
        return function

    def __contains__(self, function_id: FunctionId) -> bool:
        return function_id in self._functions

    def clear(self) -> None:
        """Forget everything: the session is over."""
        self._functions.clear()

    def receive(self, functions: Iterable[Function], function_ids: Iterable[FunctionId]) -> None:
        """Take a batch: the bodies that came with it, and the functions that its tasks use, in the order of the tasks.

        What is used is touched before what is new is added, so that nothing the batch needs is forgotten by it.
        """
        for function_id in dict.fromkeys(function_ids):
            self.get(function_id)
        self.add(functions)


class SentFunctions:
    """The sender's side: which bodies the receiver's `FunctionCache` has, without keeping them."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._sent: OrderedDict[FunctionId, None] = OrderedDict()

    def to_send(self, function_ids: Iterable[FunctionId]) -> list[FunctionId]:
        """Return those functions of a batch whose bodies must go with it, and count them as sent.

        A batch must not use more functions than the receiver keeps.
        """
        missing = []
        for function_id in dict.fromkeys(function_ids):
            if function_id in self._sent:
                self._sent.move_to_end(function_id)
            else:
                missing.append(function_id)
        for function_id in missing:
            self._sent[function_id] = None
        while len(self._sent) > self._capacity:
            self._sent.popitem(last=False)
        return missing

    def forget(self, function_ids: Iterable[FunctionId]) -> None:
        """The receiver does not have these after all."""
        for function_id in function_ids:
            self._sent.pop(function_id, None)
