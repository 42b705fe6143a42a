"""The part of a worker that runs cells, on pipes: reads specs from stdin, writes outputs and results to stdout."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path
from typing import IO

from funcx_core.ids import TaskId
from funcx_core.protocol.codec import encode
from funcx_core.protocol.task import TaskError, TaskResult, TaskState, TaskTimes
from funcx_core.protocol.worker import Finished, from_worker
from funcx_core.serialize import describe_exception, pack_value

messages = from_worker
TASK = TaskId("task")


def write(pipe: IO[bytes], data: bytes) -> None:
    pipe.write(len(data).to_bytes(4, "big") + data)
    pipe.flush()


def read(pipe: IO[bytes]) -> bytes:
    return pipe.read(int.from_bytes(pipe.read(4), "big"))


def main() -> None:
    from funcx_endpoint.kept import KeptFolder
    from funcx_endpoint.worker import capture, place
    from funcx_endpoint.worker.cell import run_cell

    running = [""]
    kept = KeptFolder(Path(tempfile.mkdtemp(dir=sys.argv[1])), lifetime=3600.0, limit=10_000_000)
    place.install(lambda: place.Place(kept, "owner", running[0], 5_000_000))
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    worker = capture.Capture(lambda output: write(out, encode(output)), max_output=1 << 20, max_event=1 << 20)
    worker.install()
    while True:
        try:
            running[0] = read(sys.stdin.buffer).decode()
            spec = read(sys.stdin.buffer)
        except KeyboardInterrupt:
            continue
        if not spec:
            return
        worker.begin(TASK)
        started = time.time_ns()
        value, error, state = b"", None, TaskState.SUCCESS
        try:
            value = pack_value(run_cell(spec))
        except KeyboardInterrupt:
            error, state = TaskError(code="task_cancelled", message="The task was cancelled."), TaskState.CANCELLED
        except BaseException as raised:
            error, state = describe_exception(raised), TaskState.FAILED
        worker.end()
        times = TaskTimes(started=started, ended=time.time_ns())
        write(out, encode(Finished([TaskResult(TASK, 1, state, value, error, times)])))


if __name__ == "__main__":
    main()
