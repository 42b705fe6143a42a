"""What a cell needs against what there is on an endpoint. Pure, but for the packages of this kernel."""

from __future__ import annotations

import difflib
import platform
import re
from collections.abc import Callable, Iterable, Sequence
from importlib import metadata
from typing import Final

from funcx_core.protocol.environment import MOST_NAMES, Environment
from funcx_jupyter.capture.imports import Import

STRICT: Final = "strict"
WARN: Final = "warn"
OFF: Final = "off"


def first_missing(needs: Iterable[Import], environments: Sequence[Environment]) -> Import | None:
    """Return the first module that no node of the endpoint has; None also if that cannot be known."""
    known = [environment for environment in environments if environment.modules]
    if not known or any(len(environment.modules) >= MOST_NAMES for environment in known):
        return None
    there = set().union(*(environment.modules for environment in known))
    return next((need for need in needs if need.module not in there), None)


def is_missing(need: Import, environments: Sequence[Environment], endpoint: str) -> str:
    """Return what is said of a module that is not there."""
    place = f" (line {need.line})" if need.line else (f" ({need.reason})" if need.reason else "")
    there = sorted({name for environment in environments for name in environment.modules})
    near = difflib.get_close_matches(need.module, there, n=3, cutoff=0.7)
    available = f" Available: {', '.join(near)}." if near else ""
    return (
        f"`{need.module}`{place} is not installed on {endpoint}.{available} `%funcx env {endpoint} --diff` shows what differs; "
        "`--env off` sends the cell all the same."
    )


def other_python(environments: Sequence[Environment], endpoint: str) -> str:
    """Return one line if the endpoint has another minor version of Python; nothing if not."""
    here = _minor(platform.python_version())
    there = sorted({_minor(environment.python_version) for environment in environments})
    if not there or here in there:
        return ""
    return f"{endpoint} has Python {' and '.join(there)}, this kernel {here}: functions and classes travel as source."


def _minor(version: str) -> str:
    return ".".join(version.split(".")[:2])


def packages_here() -> dict[str, str]:
    """Return the version of every distribution that this kernel can import, by normalized name."""
    found: dict[str, str] = {}
    for one in metadata.distributions():
        if name := one.metadata["Name"]:
            found.setdefault(normal_name(name), one.version)
    return found


def normal_name(package: str) -> str:
    """Return the name of a package as environments have it."""
    return re.sub(r"[-_.]+", "-", package).lower()


def differences(here: dict[str, str], there: dict[str, str]) -> list[tuple[str, str, str]]:
    """Return package, version here and version there, of those that differ. Empty text: it is not there."""
    names = sorted(here.keys() | there.keys())
    rows = [(name, here.get(name, ""), there.get(name, "")) for name in names]
    return [row for row in rows if row[1] != row[2]]


class Environments:
    """What endpoints have, asked for once in a while.

    Args:
        ask: asks the service about an endpoint.
        clock: monotonic seconds.
    """

    KEPT: Final = 300.0

    def __init__(self, ask: Callable[[str], list[Environment]], clock: Callable[[], float]) -> None:
        self._ask = ask
        self._clock = clock
        self._known: dict[str, tuple[float, list[Environment]]] = {}

    def of(self, endpoint_id: str, *, anew: bool = False) -> list[Environment]:
        """Return the kinds of nodes of an endpoint. `anew`: something may have been installed since."""
        at, known = self._known.get(endpoint_id, (0.0, []))
        if anew or not known or self._clock() - at > self.KEPT:
            known = self._ask(endpoint_id)
            self._known[endpoint_id] = (self._clock(), known)
        return known
