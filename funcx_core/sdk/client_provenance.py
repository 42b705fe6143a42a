"""The client's method about where results come from, and all its methods about work put together."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from funcx_core.sdk.client_endpoints import EndpointMethods
from funcx_core.sdk.client_functions import FunctionMethods
from funcx_core.sdk.client_grids import GridMethods
from funcx_core.sdk.tasks import value_or_error

if TYPE_CHECKING:
    from funcx_core.sdk.provenance.record import Provenance


class ProvenanceMethods(FunctionMethods, GridMethods, EndpointMethods):
    """How results came to be."""

    def get_provenance(self, task: Any, *, function: Callable[..., Any] | None = None) -> Provenance:
        """Return how the result of a task came to be; see `funcx.provenance`.

        Raises:
            UsageError: it is no task.
            TaskNotFound: the service does not know it, or not any more.
        """
        from funcx_core.sdk.provenance.gather import gather  # noqa: PLC0415 - for those who ask

        return gather(self, task, function=function)

    def raw_task(self, task_id: str) -> dict[str, Any]:
        """Return what the service tells of a task, with its result as it travelled."""
        return self._task(task_id)

    def opened(self, task: dict[str, Any]) -> Any:
        """Return the value of what `raw_task` returned, or raise the exception of its function."""
        value, error = value_or_error(task, self._reader_of_task(task), self.transfer)
        if error is not None:
            raise error
        return value
