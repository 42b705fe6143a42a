"""Maps as users see them: one object for any number of calls, whose record is at the service.

>>> squares = funcx.map(square, range(1_000_000), endpoint="theta")
>>> squares.map_id                 # enough to find it again: client.get_map(map_id)
>>> sum(squares)                   # results in order, as they come
>>> squares.failures()             # {17: ValueError(...)}
>>> squares.retry()                # run again what failed
"""

from __future__ import annotations

import base64
import math
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

import msgspec

from funcx_core.errors import TaskCancelled, TaskPending
from funcx_core.ids import TaskId
from funcx_core.protocol.payload import VALUE
from funcx_core.protocol.task import TaskError, TaskResult, TaskState
from funcx_core.sdk.futures import FuncXFuture, TaskListener
from funcx_core.sdk.map_feed import Range
from funcx_core.sdk.map_progress import MapProgress
from funcx_core.sdk.range_results import Failed, RangeResult
from funcx_core.sdk.routes import MapRoute
from funcx_core.sdk.stream import TaskStream
from funcx_core.sdk.trust import Reader
from funcx_core.sdk.web import WebClient

AHEAD: Final = 32
"""Ranges whose results are fetched before it is their turn."""
MOST_HELD: Final = 64 * 1024 * 1024
"""Bytes of results that wait here to be looked at; more are fetched from the service again when they are."""
SETTLE_SECONDS: Final = 5.0
STOPPING_SECONDS: Final = 60.0
_LOOK_SECONDS: Final = 5.0
"""How often the service is asked about a map of which all is heard here: another process may have resumed it."""
_POLLS: Final = (0.05, 1.0)
"""Seconds between two questions where nothing is heard, at first and in the long run."""


class _Pauses:
    """Gives longer and longer pauses."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Begin with short ones."""
        self._next = _POLLS[0]

    def next(self) -> float:
        """Return the next one, in seconds."""
        pause = self._next
        self._next = min(_POLLS[1], pause * 1.5)
        return pause


class MapAccess(NamedTuple):
    """What maps need of a client. `client` itself is kept, because its stream ends when it is dropped."""

    client: object
    web: WebClient
    stream: TaskStream
    reader_of: Callable[[str], Reader]


class FuncXMap:
    """Many calls of one function. Iterate over it for the results in order; it raises where a call failed.

    Attributes:
        map_id: what the service knows it by.
        endpoint_id: where its calls run.
        range_count: how many tasks of it are known here.
        name: what its maker called it.
    """

    def __init__(self, access: MapAccess, route: MapRoute) -> None:
        """Made by `funcx.map` and `FuncXClient.get_map`."""
        self.endpoint_id = route.endpoint_id
        self.map_id = route.map_id
        self.name = route.name
        self._access = access
        self._reader = route.reader
        self._group_id = route.group_id
        self._spans: dict[int, list[Range]] = {}
        self._newest = 0
        self._calls = 0
        self._held = 0
        self.range_count = 0
        self._listener: Callable[[Range], None] | None = None
        self._events: TaskListener | None = None
        self._ending = threading.Condition()

    # --- results -----------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return self._calls

    def __iter__(self) -> Iterator[Any]:
        """Yield the results in order, as they come; raise the exception of a call at its place."""
        for result in self._in_order(None):
            if isinstance(result, Failed):
                raise result.exception()
            yield result

    def results(self, *, return_exceptions: bool = False, timeout: float | None = None) -> list[Any]:
        """Return all results in order.

        Args:
            return_exceptions: have exceptions in the list instead of raising the first one.
            timeout: seconds after which `TimeoutError` is raised.
        """
        found = []
        for result in self._in_order(None if timeout is None else time.monotonic() + timeout):
            if not isinstance(result, Failed):
                found.append(result)
            elif return_exceptions:
                found.append(result.exception())
            else:
                raise result.exception()
        return found

    def __getitem__(self, index: int) -> Any:
        """Return the value of one call, or raise its exception.

        Raises:
            IndexError: there is no such call.
            TaskPending: it has not ended.
        """
        if not 0 <= index < self._calls:
            raise IndexError(f"The map has calls 0 to {self._calls - 1}; {index} is none of them.")
        found = self._request("GET", str(index))
        if found["status"] == "success":
            pickled = msgspec.convert(found["pickle"], bytes) if "pickle" in found else b""
            payload = VALUE + pickled if pickled else found["result"].encode()
            value = self._opened(TaskResult(TaskId(self.map_id), 1, TaskState.SUCCESS, payload))
            return value[found["position"]] if pickled else value
        if "error" not in found:
            raise TaskPending(str(found["status"]), task_id=self.map_id)
        error = msgspec.convert(found["error"], TaskError)
        return self._opened(TaskResult(TaskId(self.map_id), 1, TaskState.FAILED, error=error))

    def failures(self) -> dict[int, BaseException]:
        """Return the exceptions of the calls that failed by now, by index."""
        if all(ranges[-1].future is not None and ranges[-1].future.done() for ranges in self._spans.values()):
            self.wait(SETTLE_SECONDS)  # Results come here before the service has them on disk.
        found: dict[int, BaseException] = {}
        start: int | None = 0
        while start is not None:
            page = self._request("GET", "failures", query=f"start={start}")
            for index, error in page["failures"].items():
                failed = Failed(msgspec.convert(error, TaskError), TaskId(self.map_id), self._reader)
                found[int(index)] = failed.exception()
            start = page["next"]
        return dict(sorted(found.items()))

    # --- how it goes -------------------------------------------------------------------------------------------

    def progress(self) -> MapProgress:
        """Return how many calls are in which state, as the service knows it."""
        if not self._calls:
            return MapProgress(size=0)
        found = self._request("GET")
        return MapProgress(size=found["size"], **found["counts"])

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until no call is still to come; False if one is after `timeout` seconds."""
        deadline = math.inf if timeout is None else time.monotonic() + timeout
        pauses = _Pauses()
        while self.progress().open:
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            self._await_ends(pauses, left)
        return True

    def _await_ends(self, pauses: _Pauses, longest: float) -> None:
        """Wait until all ranges have ended that are known here and heard of; if there are none, a little longer each time."""
        if self._is_all_heard():
            time.sleep(min(longest, pauses.next()))
            return
        with self._ending:
            self._ending.wait_for(self._is_all_heard, min(longest, _LOOK_SECONDS))
        pauses.begin()  # Results come here a moment before the service has them on disk.

    def _is_all_heard(self) -> bool:
        return all(one.future is None or one.future.done() for one in self.ranges())

    def _one_ended(self, _: object) -> None:
        with self._ending:
            self._ending.notify_all()

    # --- what to do about it -----------------------------------------------------------------------------------

    def cancel(self, *, force: bool = False) -> None:
        """Stop what waits or runs. What is complete stays, also of the ranges that run.

        Args:
            force: kill the workers at once. What was complete of the ranges that they run is lost then.
        """
        if self._calls:
            self._request("POST", "cancel", body={"force": force})

    def resume(self, *, failed: bool = False) -> int:
        """Run again what was cancelled or lost; return how many calls that are. What runs or succeeded is left alone.

        Calls that were lost with their worker run in ranges of a tenth of the size, so that one that kills its worker is
        alone after a few times; then it counts as failed.

        Args:
            failed: also what failed.
        """
        if not self._calls:
            return 0
        resumed = 0
        deadline, pauses = time.monotonic() + STOPPING_SECONDS, _Pauses()
        while True:
            answer = self._request("POST", "resume", body={"failed": failed})
            resumed += int(answer["resumed"])
            if not answer["counts"]["cancelling"] or time.monotonic() > deadline:
                break
            self._await_ends(pauses, STOPPING_SECONDS)  # What is being stopped can be taken when it has stopped.
        self.look_for_ranges()
        return resumed

    def retry(self) -> int:
        """Run again everything that has not succeeded; return how many calls that are."""
        return self.resume(failed=True)

    def delete(self) -> None:
        """Delete the record with all results. What is open has to be cancelled first."""
        if self._calls:
            self._request("DELETE")

    def __repr__(self) -> str:
        name = f" '{self.name}'" if self.name else ""
        ended = sum(ranges[-1].future is not None and ranges[-1].future.done() for ranges in list(self._spans.values()))
        return f"<FuncXMap{name} {self.map_id}: {self._calls:,} calls, results of {ended:,} of {len(self._spans):,} ranges here>"

    # --- for their makers ------------------------------------------------------------------------------------------------

    def add(self, one: Range) -> None:
        """Take note of a range."""
        members = self._spans.setdefault(one.start, [])
        members.append(one)
        self.range_count += 1
        if len(members) == 1:
            self._calls += len(one.positions)
        if one.future is not None:
            one.future.add_done_callback(lambda future: self._bound(one, future))
            one.future.add_done_callback(self._one_ended)

    def ranges(self) -> list[Range]:
        """Return the ranges that are known here, those of a span in the order in which they were made."""
        return [one for span in list(self._spans.values()) for one in span]

    def task_ids(self) -> list[str]:
        """Return the ids of the tasks that ran its calls, run them or will, as far as they are known here."""
        return [one.task_id for one in self.ranges()]

    def about(self) -> bytes:
        """Return what was written about the map when it was made; empty if that is nothing."""
        return base64.b64decode(self._request("GET", "about")["about"])

    def follow(self, listener: Callable[[Range], None], events: TaskListener | None = None) -> None:
        """Have `listener` called with each range when it has ended, also with those to come, on any thread. It must not block.

        Args:
            listener: see above.
            events: hears what ranges tell from now on while they run; it must not block, either.
        """
        self._listener, self._events = listener, events
        for one in self.ranges():
            self._listen(one.future)
        for one in self.ranges():
            if one.future is not None:
                self._tell_of_end(one, one.future)
        self._fetch(sorted(self._spans))

    def look_for_ranges(self) -> None:
        """Learn of ranges that the service has made."""
        before = self._newest
        while True:
            page = self._request("GET", "ranges", query=f"after={self._newest}")["ranges"]
            for found in page:
                self._newest = found["number"]
                known = self._spans.get(found["start"], ())
                if all(one.task_id != found["task_id"] for one in known):
                    positions = range(found["size"]) if found["positions"] is None else found["positions"]
                    self.add(Range(found["task_id"], found["start"], positions, None))
            if not page:
                break
        if self._listener is not None and self._newest > before:
            self._fetch(sorted(self._spans))

    def raise_refusal(self) -> None:
        """Raise why the service did not take a range, if there is one."""
        for ranges in self._spans.values():
            future = ranges[0].future
            if future is not None and future.done() and future.times is None and not future.cancelled():
                error = future.exception()
                if error is not None:
                    raise error

    def _request(self, method: str, *path: str, body: Any = None, query: str = "") -> Any:
        return self._access.web.request(method, ("maps", self.map_id, *path), body=body, query=query)

    def _bound(self, one: Range, future: Any) -> None:
        """Let go of a result if too much waits here."""
        if future.cancelled() or future.exception() is not None:
            return
        size = getattr(future.result(), "size", 0)
        if self._held + size > MOST_HELD:
            one.future = None
        else:
            self._held += size

    def _in_order(self, deadline: float | None) -> Iterator[Any]:
        starts = sorted(self._spans)
        for number, start in enumerate(starts):
            self._fetch(starts[number : number + AHEAD])
            yield from self._of_span(start, deadline)

    def _fetch(self, starts: list[int]) -> None:
        missing = [one for start in starts for one in self._spans[start] if one.future is None]
        if not missing:
            return
        futures = self._watch(missing)
        for one, future in zip(missing, futures, strict=True):
            one.future = future
            future.add_done_callback(self._one_ended)
            self._listen(future)
            self._tell_of_end(one, future)

    def _tell_of_end(self, one: Range, future: FuncXFuture) -> None:
        listener = self._listener
        if listener is not None:
            # The range is told of with the future that has its outcome, whatever becomes of the one that it has.
            ended = Range(one.task_id, one.start, one.positions, future)
            future.add_done_callback(lambda _: listener(ended))

    def _listen(self, future: FuncXFuture | None) -> None:
        if future is not None and self._events is not None and not future.done():
            future.listener = self._events

    def _opened(self, outcome: TaskResult) -> Any:
        value, error = self._reader.open(outcome)
        if error is not None:
            raise error
        return value

    def _watch(self, ranges: list[Range]) -> list[FuncXFuture]:
        task_ids = [TaskId(one.task_id) for one in ranges]
        return self._access.stream.watch(self._group_id, task_ids, reader=self._reader)

    def _of_span(self, start: int, deadline: float | None) -> list[Any]:
        """Return what became of the calls of a span. Of each call the newest range knows."""
        ranges = self._spans[start]
        found = self._of_range(ranges[0], deadline)
        if len(ranges) == 1:
            return found
        found = list(found)
        for one in ranges[1:]:
            for position, result in zip(one.positions, self._of_range(one, deadline), strict=True):
                found[position] = result
        return found

    def _of_range(self, one: Range, deadline: float | None) -> list[Any]:
        future = one.future
        if future is None:  # Let go of since it was fetched.
            (future,) = self._watch([one])
        error = future.exception(None if deadline is None else max(0.0, deadline - time.monotonic()))
        if error is not None:
            return [Failed(error, TaskId(one.task_id))] * len(one.positions)
        result = future.result()
        if not isinstance(result, RangeResult):
            unreadable = TaskCancelled("The range has no outcomes that this version can read.", task_id=one.task_id)
            return [Failed(unreadable, TaskId(one.task_id))] * len(one.positions)
        return result.results()
