"""Run features and write down how each went. Standard library only: every published client's Python runs this."""

import json
import os
import time
import traceback
from pathlib import Path

GIVEN = json.loads(os.environ["CONFORMANCE"])
UNKNOWN_ID = "11111111-2222-4333-8444-555555555555"

known = {}
"""What one feature leaves for the next."""


class Work:
    """The functions that run on the endpoint; `play.py` defines them, so that they are in ``__main__`` as a user's are."""


work = Work()


def feature(name):
    """Run the decorated function now; the feature works if it returns."""

    def run(function):
        try:
            function()
        except BaseException as error:
            where = [
                frame for frame in traceback.extract_tb(error.__traceback__) if "conformance/scripts" in frame.filename
            ]
            told(name, False, f"line {where[-1].lineno}: {type(error).__name__}: {error}")
        else:
            told(name, True, "")
        return function

    return run


def told(name, works, reason):
    with Path(GIVEN["report"]).open("a") as report:
        report.write(json.dumps({"feature": name, "works": works, "reason": reason}) + "\n")


def raised(call, *arguments, **keywords):
    """Return what the call raises; it must."""
    try:
        value = call(*arguments, **keywords)
    except Exception as error:
        return error
    raise AssertionError(f"nothing was raised, but {value!r} returned")


def until(call, pending, seconds=60):
    """Return what the call returns once it no longer raises `pending`; how often it did goes to `known`."""
    known["pending"] = 0
    deadline = time.time() + seconds
    while True:
        try:
            return call()
        except Exception as error:
            if not pending(error) or time.time() > deadline:
                raise
        known["pending"] += 1
        time.sleep(0.1)


VALUES = (
    None,
    True,
    -1,
    10**40,
    1.5,
    2j,
    "text \u20ac \U0001f600",
    b"\x00\xff",
    [1, [2, {"three": (3,)}]],
    {"set": {1, 2}, (1, 2): frozenset("ab")},
)
