"""What has to be installed where a cell runs, against what is. Pure, but for `check_here`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from importlib import metadata
from typing import NamedTuple

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion

from funcx_core.errors import RequirementNotMet
from funcx_core.protocol.environment import MOST_NAMES, Environment


class Unmet(NamedTuple):
    """A requirement, and the version that there is instead; empty for none."""

    requirement: str
    name: str
    version: str

    def describe(self, place: str) -> str:
        """Return what is said of it: "`numpy>=2` is not met on theta: numpy 1.26.4 is installed there."."""
        there = f"{self.name} {self.version}" if self.version else f"{self.name} is not"
        return f"`{self.requirement}` is not met on {place}: {there}{' is' if self.version else ''} installed there."


def first_unmet(
    wanted: Iterable[str], version_of: Callable[[str], str | None], facts: Mapping[str, str]
) -> Unmet | None:
    """Return the first requirement that is not met.

    Args:
        wanted: requirements. One whose marker is not true there is met by anything.
        version_of: the version of a package, by its normalized name; None if it is not there.
        facts: what markers ask about that Python.
    """
    for text in wanted:
        requirement = Requirement(text)
        if requirement.marker is not None and not requirement.marker.evaluate(dict(facts)):
            continue
        found = version_of(canonicalize_name(requirement.name))
        if found is None or not _suits(requirement, found):
            return Unmet(text, requirement.name, found or "")
    return None


def _suits(requirement: Requirement, version: str) -> bool:
    try:
        return requirement.specifier.contains(version, prereleases=True)
    except InvalidVersion:
        return not requirement.specifier


def unmet_by(wanted: Iterable[str], environment: Environment) -> Unmet | None:
    """Return the first requirement that an environment does not meet; None also if it does not tell all that is there."""
    if not environment.packages or len(environment.packages) >= MOST_NAMES:
        return None
    return first_unmet(wanted, environment.packages.get, _facts(environment))


def _facts(environment: Environment) -> dict[str, str]:
    facts = {key: str(value) for key, value in default_environment().items()}
    version, system = environment.python_version, environment.platform.partition("-")[0]
    facts.update(
        python_full_version=version,
        python_version=".".join(version.split(".")[:2]),
        implementation_version=version,
        platform_python_implementation=environment.implementation,
        implementation_name=environment.implementation.lower(),
    )
    if system:
        facts.update(platform_system=system, sys_platform=system.lower())
    return facts


def check_here(wanted: Iterable[str], place: str) -> None:
    """Check requirements against what is installed for this Python. `place`: what it is called in the message.

    Raises:
        RequirementNotMet: naming the first that is not met.
    """
    facts = {key: str(value) for key, value in default_environment().items()}
    unmet = first_unmet(wanted, _installed, facts)
    if unmet is not None:
        raise RequirementNotMet(f"{unmet.describe(place)} Install it there, or run the cell on another endpoint.")


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
