"""The functions that are run: importable by every system, and the same for all."""

import time


def noop(number: int = 0) -> int:
    """Do nothing."""
    return number


def nap(seconds: float) -> None:
    """Keep a worker busy without using its processor."""
    time.sleep(seconds)


def echo(value: bytes) -> bytes:
    """Send a value there and back."""
    return value
