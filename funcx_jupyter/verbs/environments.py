"""The verbs of `%funcx` about what is installed on an endpoint."""

from __future__ import annotations

import shlex
import sys
from importlib import metadata
from typing import Final

from funcx_core.protocol.environment import Environment
from funcx_jupyter.display import words
from funcx_jupyter.display.tables import Table, Text
from funcx_jupyter.errors import EnvironmentMismatch, MagicArgumentError
from funcx_jupyter.session.endpoints import Endpoint
from funcx_jupyter.session.environment import differences, normal_name, other_python, packages_here
from funcx_jupyter.verbs.desk import Desk

_NOT_REPORTED: Final = "{} has not reported what is installed there. It does when it has run workers."


def env(desk: Desk, name: str = "", *, diff: bool = False, lock: bool = False) -> Text | Table:
    """Show what is installed on an endpoint; with --diff what differs from this kernel, with --lock as pinned requirements."""
    if diff and lock:
        raise MagicArgumentError(
            "Either --diff or --lock: `%funcx env ENDPOINT --diff` or `%funcx env ENDPOINT --lock`."
        )
    row, found = _reported(desk, name)
    if not found:
        return Text(_NOT_REPORTED.format(row.name))
    if lock:
        return Text(locked(found, row.name))
    if diff:
        packages = {package: version for one in found for package, version in one.packages.items()}
        rows = differences(packages_here(), packages)
        same = f"{row.name} has the very packages of this kernel."
        return Table(("package", "here", row.name), [(n, here or "-", there or "-") for n, here, there in rows], same)
    return Text("\n".join([f"{row.name}:", *map(_described, found), *filter(None, [other_python(found, row.name)])]))


def _reported(desk: Desk, name: str) -> tuple[Endpoint, list[Environment]]:
    session = desk.session
    row = session.find_endpoint(name) if name else session.endpoint()
    return row, session.environments.of(row.endpoint_id, anew=True)


def locked(environments: list[Environment], endpoint: str) -> str:
    """Return a file of requirements with the version of every package there; where nodes differ, the newest report counts."""
    latest = environments[-1]
    lines = [f"# {endpoint}: {latest.implementation} {latest.python_version}, {latest.platform or 'platform unknown'}"]
    for name, version in sorted(latest.packages.items()):
        others = sorted({one.packages.get(name, "none") for one in environments} - {version})
        lines.append(f"{name}=={version}" + (f"  # on other nodes: {', '.join(others)}" if others else ""))
    return "\n".join(lines)


def fix_env(desk: Desk, *modules: str, e: str = "") -> Text:
    """Say what installs a module on an endpoint, by default what the last error missed there. It installs nothing itself."""
    missing = list(modules) or _missed()
    if not missing:
        return Text("No module was missing lately. `%funcx fix-env MODULE -e ENDPOINT` says how to install one.")
    row, found = _reported(desk, e or (_last_endpoint(desk) if not modules else ""))
    lacking = [module for module in missing if not any(module in one.modules for one in found)]
    if found and not lacking:
        there = f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} installed on {row.name}"
        return Text(
            f"{there} now, as it reports. `%funcx restart {row.name}` starts workers that see it, if they do not."
        )
    return Text(how_to_install(lacking or missing, row, found[-1] if found else None))


def _missed() -> list[str]:
    """Return the module that the last error of a cell was about."""
    error = getattr(sys, "last_value", None)
    if isinstance(error, EnvironmentMismatch):
        return [error.module] if error.module else []
    name = error.name if isinstance(error, ModuleNotFoundError) else None
    return [name.partition(".")[0]] if name else []


def _last_endpoint(desk: Desk) -> str:
    error = getattr(sys, "last_value", None)
    if isinstance(error, EnvironmentMismatch):
        return error.endpoint
    return desk.session.tasks[next(reversed(desk.session.tasks))].endpoint if desk.session.tasks else ""


def how_to_install(modules: list[str], row: Endpoint, there: Environment | None) -> str:
    """Return which packages to install where, and the commands for it."""
    by_module = metadata.packages_distributions()
    here = packages_here()
    lines, wanted = [f"{row.name} lacks {', '.join(modules)}."], []
    for module in modules:
        package = normal_name(by_module[module][0]) if module in by_module else module
        version = here.get(package)
        wanted.append(f"{package}=={version}" if version else package)
        if not version:
            lines.append(
                f"This kernel does not have `{module}` either: look up what its package is called; perhaps `{package}`."
            )
        elif package != module:
            lines.append(f"`{module}` comes with the package {package}.")
    if there is not None and there.container:
        return "\n".join([*lines, f"Its tasks run in the image {there.container}: add {', '.join(wanted)} to it."])
    python = there.executable if there is not None and there.executable else "python"
    lines.append(f"On {row.hostname or 'the host of the endpoint'}, type:")
    lines.append("    " + shlex.join([python, "-m", "pip", "install", *wanted]))
    lines.append(f"Then `%funcx restart {row.name}` if it is an endpoint of this machine; else restart it there.")
    return "\n".join(lines)


def _described(environment: Environment) -> str:
    memory = words.size(environment.memory_bytes) if environment.memory_bytes else "memory unknown"
    gpus = ", ".join(one.name for one in environment.accelerators)
    parts = [
        f"{environment.implementation} {environment.python_version}",
        f"{len(environment.packages)} packages",
        f"{environment.cores} cores",
        memory,
        *([gpus] if gpus else []),
        *([f"container {environment.container}"] if environment.container else []),
        *(f"{image} is {identity}" for image, identity in environment.images.items()),
        environment.platform,
    ]
    return "  " + " · ".join(part for part in parts if part)
