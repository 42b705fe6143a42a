"""What surrounded an exception of a cell: plain facts that go home with it.

They are gathered while the cell still counts as running: so it can be stopped then, too, if the code of one of its variables hangs.
"""

from __future__ import annotations

import difflib
import platform
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from funcx_endpoint.worker.capture import printed_tail
from funcx_endpoint.worker.shown_locals import failing_frame, shown_locals

_TAIL: Final = 2000
_RESET_PEAK: Final = "5"
_KILO: Final = 1024
_noted: tuple[BaseException, dict[str, Any]] | None = None


def begin() -> None:
    """A cell begins: forget the last one, and count its memory from here."""
    global _noted  # noqa: PLW0603 - one cell at a time
    _noted = None
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text(_RESET_PEAK)


def note(error: BaseException, ran: dict[str, Any]) -> None:
    """The cell has raised this. To be called while its variables exist. `ran`: where, as `whereabouts` tells it."""
    global _noted  # noqa: PLW0603 - one cell at a time
    frame = failing_frame(error.__traceback__)
    facts: dict[str, Any] = {"hostname": platform.node(), "ran": ran}
    if frame is not None:
        facts["locals"] = shown_locals(frame)
        facts["locals_of"] = frame.f_code.co_name
    if tail := printed_tail(_TAIL):
        facts["stdout_tail"] = tail
    if peak := _memory_peak():
        facts["memory_peak"] = peak
    if isinstance(error, ModuleNotFoundError) and error.name:
        facts["near_modules"] = _near(error.name)
    _noted = (error, facts)


def add(error: BaseException, facts: dict[str, Any]) -> None:
    """Let these facts go home with this exception, beside what was noted of it."""
    global _noted  # noqa: PLW0603 - one cell at a time
    _noted = (error, {**of(error), **facts})


def of(error: BaseException) -> dict[str, Any]:
    """Return what was noted of this exception, once; nothing if it is no cell's."""
    global _noted
    noted, _noted = _noted, None  # It holds the variables of the cell.
    return noted[1] if noted is not None and noted[0] is error else {}


def _memory_peak() -> int:
    """Return the most memory in bytes that this process has had since the cell began; 0 if the kernel does not tell."""
    with suppress(OSError, ValueError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * _KILO
    return 0


def _near(module: str) -> list[str]:
    top = module.partition(".")[0]
    return difflib.get_close_matches(top, list(metadata.packages_distributions()), n=3, cutoff=0.7)
