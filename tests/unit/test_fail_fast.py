"""A process ends with the first of its threads that dies."""

from __future__ import annotations

import subprocess
import sys

import pytest

START = """
import asyncio, logging, threading, time
from concurrent.futures import ThreadPoolExecutor
from funcx_core.fail_fast import end_with_callbacks, end_with_threads
logging.basicConfig(format="%(levelname)s %(message)s")
end_with_threads(lambda words: print(words, flush=True))
def die():
    raise ValueError("a defect")
"""


def ended(source: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-c", START + source], capture_output=True, text=True, check=False, timeout=30
    )
    return done.returncode, done.stdout, done.stderr


def test_a_thread_that_raises_ends_the_process() -> None:
    code, said, logged = ended("threading.Thread(target=die, name='spool').start()\ntime.sleep(20)")
    assert (code, said) == (70, "internal error: the thread spool died of ValueError: a defect\n")
    assert logged.startswith("CRITICAL the thread spool died, and its process ends with it\nTraceback")


def test_a_thread_of_a_pool_that_raises_outside_of_its_work_ends_the_process() -> None:
    source = """
import concurrent.futures.thread as pools
pool = ThreadPoolExecutor(1, thread_name_prefix="blocks")
pool.submit(int)
class Bad:
    run = staticmethod(die)
pool._work_queue.put(Bad())
time.sleep(20)
"""
    code, said, _ = ended(source)
    assert (code, said) == (70, "internal error: the thread blocks_0 died of ValueError: a defect\n")


def test_a_callback_that_raises_ends_the_process() -> None:
    source = """
async def main():
    loop = asyncio.get_running_loop()
    end_with_callbacks(loop, lambda words: print(words, flush=True))
    loop.call_soon(die)
    await asyncio.sleep(20)
asyncio.run(main())
"""
    code, said, _ = ended(source)
    assert (code, said) == (70, "internal error: a part of the event loop died of ValueError: a defect\n")


@pytest.mark.parametrize(
    "source",
    [
        "ThreadPoolExecutor(1).submit(die).exception()",
        "threading.Thread(target=lambda: exit(3)).start()\ntime.sleep(0.1)",
        """
async def main():
    end_with_callbacks(asyncio.get_running_loop())
    await asyncio.wait([asyncio.ensure_future(asyncio.to_thread(die))])
asyncio.run(main())
""",
    ],
)
def test_an_error_that_somebody_can_see_ends_nothing(source: str) -> None:
    code, _, _ = ended(source)
    assert code == 0
