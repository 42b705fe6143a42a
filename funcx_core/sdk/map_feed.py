"""Brings the calls of a map to the service, range by range, in bounded memory."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any, Final

from funcx_core.ids import new_task_id
from funcx_core.protocol.maps import RangeCall
from funcx_core.sdk.futures import FuncXFuture
from funcx_core.sdk.range_results import RangeResult
from funcx_core.sdk.range_sizes import RangeSizes
from funcx_core.sdk.routes import MapRoute
from funcx_core.sdk.stream import TaskStream
from funcx_core.serialize.ranges import pack_range

MOST_UNSENT: Final = 4096
MOST_UNSENT_BYTES: Final = 16 * 1024 * 1024
"""Ranges, and bytes of them, that may wait to be sent; then the feed waits for the service."""
NEWS_SECONDS: Final = 0.3


class Range:
    """Calls of a map that run as one task.

    Attributes:
        task_id: the task.
        start: index of the first call of the span that they are in.
        positions: which calls of the span they are.
        future: of the task, with a `RangeResult`; None if nobody waits for it now.
    """

    __slots__ = ("future", "positions", "start", "task_id")

    def __init__(self, task_id: str, start: int, positions: range | list[int], future: FuncXFuture | None) -> None:
        self.task_id = task_id
        self.start = start
        self.positions = positions
        self.future = future


def feed(
    stream: TaskStream,
    route: MapRoute,
    calls: Iterator[tuple[Any, ...]],
    sizes: RangeSizes,
    pack: Callable[[list[tuple[Any, ...]]], bytes] = pack_range,
) -> Iterator[Range]:
    """Submit the calls and yield their ranges, each when it is on its way. `pack` makes the payload of some of them.

    Raises:
        SerializationError: an argument cannot be sent.
        PayloadTooLarge: the arguments of a range are over the service's limit.
    """
    news = threading.Event()
    listen = _listener(sizes, news)
    start = 0
    held: list[tuple[Any, ...]] = list(itertools.islice(calls, sizes.next()))
    while held:
        following = list(itertools.islice(calls, sizes.next()))
        # A range is held back until it is known whether another one follows: the last one says how large the map is.
        call = RangeCall(new_task_id(), route.function_id, pack(held), start, len(held), is_last=not following)
        future = stream.submit_range(call, route)
        if sizes.is_measured:
            future.add_done_callback(listen)
        yield Range(call.task_id, start, range(len(held)), future)
        start += len(held)
        held = following
        if sizes.wants_news:
            news.wait(NEWS_SECONDS)
        stream.wait_for_room(max(2, min(MOST_UNSENT, MOST_UNSENT_BYTES // len(call.payload))))


def _listener(sizes: RangeSizes, news: threading.Event) -> Callable[[Future[Any]], None]:
    def listen(future: Future[Any]) -> None:
        if not isinstance(future, FuncXFuture) or future.cancelled() or future.times is None:
            return
        found = future.result() if future.exception() is None else None
        if isinstance(found, RangeResult) and future.times.started:
            ran = found.succeeded + found.failed
            if ran:
                sizes.took(ran, (future.times.ended - future.times.started) / 1e9)
        news.set()

    return listen
