"""What a manager tells a worker on its command line: nothing secret, everything it needs."""

from __future__ import annotations

import msgspec
from msgspec import structs


class WorkerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One worker's share of the manager's settings. Descriptors are numbers of inherited files.

    Attributes:
        manager: process id of the manager; the worker, its child, dies with it. 0 in a container.
        tasks: socket on which chunks arrive.
        control: socket on which recalls arrive.
        results: socket for everything the worker says.
        page: file shared with the manager, see `page`.
        working_dir: where tasks run; it exists.
        max_result: bytes; a larger result does not travel with its task.
        max_large_result: bytes; a result between the two goes by way of a file.
        large_dir: where large values are, see `funcx_endpoint.large`.
        max_kept: bytes of all values that stay on the endpoint, see `funcx_endpoint.kept`.
        kept_lifetime: seconds after its last use until such a value goes.
        max_output: bytes of stdout and stderr kept per task.
        keep_children: whether processes that a task left behind may live on.
        load_timeout: seconds that a function may take to load.
        max_tasks: tasks after which the worker gives way to a new one; None for never.
        max_growth: bytes of memory by which it may grow before it does; None for any.
        processors: numbers of those that the worker is bound to; none for no binding.
        sandbox_dir: where each task gets a folder of its own to run in; empty if all run in `working_dir`.
        image: what names the image of the container that it runs in; empty for none, or if nobody knows.
    """

    manager: int
    tasks: int
    control: int
    results: int
    page: int
    working_dir: str
    max_result: int
    max_output: int
    max_large_result: int = 0
    large_dir: str = ""
    max_kept: int = 0
    kept_lifetime: float = 86400.0
    keep_children: bool = False
    load_timeout: float = 300.0
    max_tasks: int | None = None
    max_growth: int | None = None
    processors: list[int] = []
    sandbox_dir: str = ""
    image: str = ""

    def with_descriptors(self, tasks: int, control: int, results: int, page: int) -> WorkerSettings:
        """Return the same with the descriptors' numbers in another process."""
        return structs.replace(self, tasks=tasks, control=control, results=results, page=page)

    def to_argument(self) -> str:
        """Return the form that stands on a command line."""
        return msgspec.json.encode(self).decode()

    @classmethod
    def from_argument(cls, text: str) -> WorkerSettings:
        """Read what `to_argument` wrote."""
        return msgspec.json.decode(text, type=cls)
