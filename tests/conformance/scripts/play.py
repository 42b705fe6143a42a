"""Play a published client: ``python play.py funcx_0``. The functions here run on the endpoint."""

import importlib
import os
import sys

from features import work


def add(x, y=1):
    return x + y


def slow(x):
    import time

    time.sleep(1)
    return x


def same(*args, **kwargs):
    return [args, kwargs]


def doubled(array):
    return array * 2


def repeat(text, times):
    return text * times


def bad(x):
    raise ValueError(f"bad value {x}")


def odd(x):
    class Odd(Exception):
        pass

    raise Odd(f"odd value {x}")


for function in (add, slow, same, doubled, repeat, bad, odd):
    setattr(work, function.__name__, function)
importlib.import_module(sys.argv[1])

# The executor's thread of 0.3.9 has ended by now, and what it left waits for it at exit for ever.
os._exit(0)
