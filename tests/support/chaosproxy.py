"""A TCP proxy that misbehaves on demand, for tests: it runs in a thread of its own and needs no rights.

Modes: ``pass`` forwards; ``blackhole`` keeps connections open and forwards nothing, or nothing in one direction, so that neither side learns of it; ``reset`` ends
every connection with RST and then passes; ``refuse`` does so with new ones too until the mode changes; ``delay`` and
``throttle`` forward late or slowly.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Final, Literal, Self

CHUNK: Final = 16 * 1024
_RESET: Final = struct.pack("ii", 1, 0)
"""SO_LINGER with a time of 0: closing drops what is unsent and sends RST."""

Target = tuple[str, int]
Direction = Literal["forth", "back", "both"]


class ChaosProxy:
    """Forwards one port of this machine to `target`, which is asked for anew with each connection."""

    def __init__(self, target: Target | Callable[[], Target]) -> None:
        self._target = target if callable(target) else lambda: target
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="chaosproxy", daemon=True)
        self._connections: set[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._mode = "pass"
        self._swallows: Direction = "both"
        self._delay = 0.0
        self._rate = 0.0
        self.accepted = 0
        self.forwarded = 0
        """Bytes."""

    def start(self) -> Self:
        """Listen on a free port."""
        self._thread.start()
        self._call(self._open())
        return self

    def close(self) -> None:
        """End every connection and stop."""
        self._call(self._shut())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- what the test does -------------------------------------------------------------------------------------

    def pass_on(self) -> None:
        """Behave, from now on. What a blackhole swallowed keeps its connections from being of use: they are reset."""
        swallowed = self._mode == "blackhole"
        self._set("pass")
        if swallowed:
            self.reset()

    def reset(self) -> int:
        """End every connection with RST; return how many there were."""
        return int(self._call(self._reset()))

    def refuse(self) -> None:
        """Reset what is there and what comes."""
        self._set("refuse")
        self.reset()

    def blackhole(self, direction: Direction = "both") -> None:
        """Swallow what goes forth to the target, what comes back, or both; connections stay open."""
        self._swallows = direction
        self._set("blackhole")

    def delay(self, seconds: float) -> None:
        """Forward everything this much later."""
        self._delay = seconds
        self._set("delay")

    def throttle(self, bytes_per_second: float) -> None:
        """Forward at most so much in each direction of each connection."""
        self._rate = bytes_per_second
        self._set("throttle")

    def _set(self, mode: str) -> None:
        self._mode = mode

    # --- the loop's thread --------------------------------------------------------------------------------------

    def _call(self, work: Coroutine[Any, Any, Any]) -> Any:
        done: Future[Any] = asyncio.run_coroutine_threadsafe(work, self._loop)
        return done.result(10)

    async def _open(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port: int = self._server.sockets[0].getsockname()[1]

    async def _shut(self) -> None:
        self._server.close()
        await self._reset()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _reset(self) -> int:
        connections = list(self._connections)
        for pair in connections:
            for writer in pair:
                _abort(writer)
        self._connections.clear()
        return len(connections)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if self._mode == "refuse":
            _abort(writer)
            return
        try:
            far_reader, far_writer = await asyncio.open_connection(*self._target())
        except OSError:
            _abort(writer)
            return
        self.accepted += 1
        pair = (writer, far_writer)
        self._connections.add(pair)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pump(reader, far_writer, "forth"))
                both.create_task(self._pump(far_reader, writer, "back"))
        finally:
            self._connections.discard(pair)
            for one in pair:
                _abort(one)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: Direction) -> None:
        with contextlib.suppress(OSError):
            while chunk := await reader.read(CHUNK):
                if self._mode == "blackhole" and self._swallows in {way, "both"}:
                    continue
                if self._mode == "delay":
                    await asyncio.sleep(self._delay)
                elif self._mode == "throttle":
                    await asyncio.sleep(len(chunk) / self._rate)
                self.forwarded += len(chunk)
                writer.write(chunk)
                await writer.drain()
        with contextlib.suppress(OSError, RuntimeError):
            writer.write_eof()


def _abort(writer: asyncio.StreamWriter) -> None:
    handle = writer.get_extra_info("socket")
    if handle is not None and handle.fileno() >= 0:
        with contextlib.suppress(OSError):
            handle.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()
