"""What there is on this node, found by looking: nothing is imported, and only one vendor's program is run, if it is there."""

from __future__ import annotations

import csv
import importlib.machinery
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from funcx_core import __version__
from funcx_core.protocol.environment import MOST_NAMES, Accelerator, Environment

SMI_SECONDS: Final = 10.0
_SMI: Final = ("--query-gpu=name,memory.total,driver_version", "--format=csv,noheader,nounits")
_SUFFIXES: Final = tuple(importlib.machinery.all_suffixes())
_INSTALLED: Final = re.compile(r"(?P<name>[^-]+)-(?P<version>[^-]+)(?:-py[\d.]+)?\.(?:dist|egg)-info")
_INTEL: Final = "0x8086"
_DATA_CENTRE_DISPLAY: Final = "0x038000"
"""The PCI class of graphics processors that drive no screen: integrated ones have another."""


def environment(cores: int, memory_bytes: int, container: str = "") -> Environment:
    """Return what there is on this node, for workers with so many processors; takes tens of milliseconds."""
    return Environment(
        python_version=platform.python_version(),
        implementation=platform.python_implementation(),
        executable=sys.executable,
        platform=platform.platform(),
        version=__version__,
        processor=processor(),
        cores=cores,
        memory_bytes=memory_bytes,
        accelerators=sorted(accelerators()),
        packages=packages(sys.path),
        modules=modules(sys.path),
        container=container,
    )


def packages(folders: Iterable[str]) -> dict[str, str]:
    """Return the version of every distribution that is installed in `folders`; the first one that Python finds counts.

    Installers name a folder ``name-version.dist-info`` beside what they install (PyPA's "Recording installed projects").
    """
    found: dict[str, str] = {}
    for entry in _entries(folders):
        match = _INSTALLED.fullmatch(entry)
        if match:
            found.setdefault(re.sub(r"[-_.]+", "-", match["name"]).lower(), match["version"])
    return dict(sorted(found.items())[:MOST_NAMES])


def modules(folders: Iterable[str]) -> list[str]:
    """Return the top-level names that can be imported from `folders`, without those of Python itself."""
    names = {name for entry in _entries(folders) if (name := _module(entry))}
    return sorted(names - sys.stdlib_module_names)[:MOST_NAMES]


def _entries(folders: Iterable[str]) -> Iterator[str]:
    ours = Path(os.__file__).resolve().parent
    for folder in dict.fromkeys(Path(folder or ".").resolve() for folder in folders):
        if folder in {ours, ours / "lib-dynload"}:
            continue  # Python's own modules
        try:
            yield from sorted(entry.name for entry in folder.iterdir())
        except OSError:
            continue  # a zip file, or a folder that is not there


def _module(entry: str) -> str:
    """Return the name by which this entry of a folder of the path is imported; empty if it is not a module."""
    for suffix in _SUFFIXES:
        if entry.endswith(suffix):
            name = entry.removesuffix(suffix)
            break
    else:
        name = entry  # a package, or a part of one, if it is a folder; other files have a dot in their names
    return name if name.isidentifier() and not name.startswith("__") else ""


def processor() -> str:
    """Return the name of this node's processor."""
    try:
        for line in Path("/proc/cpuinfo").read_text(errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    except OSError:
        pass
    return platform.machine()


def accelerators() -> list[Accelerator]:
    """Return the accelerators of this node, as far as their drivers tell of them."""
    return [*_nvidia(), *_amd(), *_intel()]


def _nvidia() -> list[Accelerator]:
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    try:
        said = subprocess.run([program, *_SMI], capture_output=True, text=True, timeout=SMI_SECONDS, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []  # It is installed, and there is no device, or its driver is another one.
    rows = [[cell.strip() for cell in row] for row in csv.reader(said.splitlines())]
    return [
        Accelerator(name, int(memory) * 1024 * 1024 if memory.isdigit() else 0, driver)
        for name, memory, driver in (row for row in rows if len(row) == 3)  # noqa: PLR2004 - the three that are asked for
    ]


def _amd(nodes: Path = Path("/sys/class/kfd/kfd/topology/nodes")) -> list[Accelerator]:
    """Look into AMD's compute driver: a node of it without vector units is a processor."""
    found = []
    for node in sorted(nodes.glob("*")):
        properties = dict(line.split(maxsplit=1) for line in _read(node / "properties").splitlines() if " " in line)
        if int(properties.get("simd_count", "0")):
            banks = [_read(bank).split() for bank in node.glob("mem_banks/*/properties")]
            sizes = [int(words[words.index("size_in_bytes") + 1]) for words in banks if "size_in_bytes" in words]
            found.append(Accelerator(_read(node / "name").strip() or "AMD", max(sizes, default=0), "amdgpu"))
    return found


def _intel(cards: Path = Path("/sys/class/drm")) -> list[Accelerator]:
    devices = {(card / "device").resolve() for card in cards.glob("card[0-9]*") if "-" not in card.name}
    return [
        Accelerator(f"Intel {_read(device / 'device').strip()}", 0, (device / "driver").resolve().name)
        for device in sorted(devices)
        if _read(device / "vendor").strip() == _INTEL and _read(device / "class").strip() == _DATA_CENTRE_DISPLAY
    ]


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
