"""What there is on a node is found by looking at files."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from funcx_core.protocol.manager import ManagerEnvironment
from funcx_endpoint.manager.node.environment import _amd, _intel, environment, modules, packages
from funcx_endpoint.manager.node.environment_report import EnvironmentReport


def lay_out(folder: Path, *names: str) -> str:
    for name in names:
        path = folder / name
        if name.endswith("/"):
            path.mkdir(parents=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    return str(folder)


def test_packages_are_told_by_the_folders_that_installers_leave(tmp_path: Path) -> None:
    first = lay_out(tmp_path / "a", "Zope.Interface-5.0.dist-info/", "numpy-2.1.0.dist-info/", "numpy/")
    second = lay_out(tmp_path / "b", "numpy-1.0.dist-info/", "old_style-0.3-py3.11.egg-info/", "notes.txt")
    found = packages([first, second, str(tmp_path / "missing")])
    assert found == {"numpy": "2.1.0", "old-style": "0.3", "zope-interface": "5.0"}


def test_modules_are_what_an_import_finds(tmp_path: Path) -> None:
    folder = lay_out(
        tmp_path, "numpy/", "six.py", "fast.cpython-311-x86_64-linux-gnu.so", "__pycache__/", "json/", "a-b/", "x.txt"
    )
    found = modules([folder])
    if sys.version_info[:2] == (3, 11) and sys.platform == "linux":
        assert found == ["fast", "numpy", "six"]
    assert {"numpy", "six"} <= set(found)
    assert "json" not in found, "it comes with Python"


def test_this_node_is_described() -> None:
    found = environment(2, 1_000_000)
    assert found.packages["msgspec"]
    assert {"msgspec", "zmq"} <= set(found.modules)
    assert "json" not in found.modules
    assert found.python_version == ".".join(map(str, sys.version_info[:3]))
    assert found.processor


def test_accelerators_are_told_by_their_drivers(tmp_path: Path) -> None:
    for node, simd in (("0", 0), ("1", 440)):
        bank = tmp_path / "nodes" / node / "mem_banks" / "0"
        bank.mkdir(parents=True)
        (tmp_path / "nodes" / node / "properties").write_text(f"cpu_cores_count 8\nsimd_count {simd}\n")
        (tmp_path / "nodes" / node / "name").write_text("gfx90a\n")
        (bank / "properties").write_text("heap_type 1\nsize_in_bytes 68702699520\nflags 0\n")
    (amd,) = _amd(tmp_path / "nodes")
    assert (amd.name, amd.memory_bytes) == ("gfx90a", 68_702_699_520)

    for card, kind in (("card0", "0x030000"), ("card1", "0x038000")):
        device = tmp_path / "drm" / card / "device"
        device.mkdir(parents=True)
        (device / "vendor").write_text("0x8086\n")
        (device / "class").write_text(f"{kind}\n")
        (device / "device").write_text("0x0bd5\n")
    (intel,) = _intel(tmp_path / "drm")
    assert intel.name == "Intel 0x0bd5"


async def test_an_image_is_told_with_the_node_and_only_as_news(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("funcx_endpoint.manager.node.environment_report.SETTLING", 0)
    said: asyncio.Queue[ManagerEnvironment] = asyncio.Queue()
    report = EnvironmentReport(said.put_nowait)
    report.runs_image("ann/tools", "sha256:1a")
    report.tell()
    first = (await asyncio.wait_for(said.get(), 30)).environment
    report.runs_image("ann/tools", "sha256:1a")
    report.runs_image("ann/tools", "sha256:2b")
    second = (await asyncio.wait_for(said.get(), 30)).environment
    report.close()
    assert (first.images, second.images) == ({"ann/tools": "sha256:1a"}, {"ann/tools": "sha256:2b"})
    assert said.empty()
