"""Fixtures that any test may ask for."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Final

import pytest
from hypothesis import settings

from tests.support.fabric import Fabric

# How long one example takes says how busy the machine is. A run in CI tries the same examples each time, so that it is red only
# for what was changed; the others look for new ones.
settings.register_profile("developer", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, database=None)
settings.load_profile("ci" if os.environ.get("CI") else "developer")


_ONE_WORKER_A_FILE: Final = frozenset({"chaos", "integration", "notebooks", "system"})


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let each file of tests with real processes run on one worker: what its tests share is started once."""
    for item in items:
        folders = item.path.relative_to(item.config.rootpath).parts
        if item.get_closest_marker("xdist_group") is None and _ONE_WORKER_A_FILE.intersection(folders):
            item.add_marker(pytest.mark.xdist_group(item.path.stem))


@pytest.fixture(autouse=True)
def _no_service_of_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test may reach the fabric or the credentials of whoever runs the tests."""
    for name in ("FUNCX_SERVICE_ADDRESS", "FUNCX_SDK_ENVIRONMENT", "FUNCX_TOKEN", "FUNCX_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("FUNCX_HOME", str(tmp_path / "funcx-home"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what the processes wrote beside the failure of a test that used a fabric."""
    report = yield
    if report.failed:
        for name, value in getattr(item, "funcargs", {}).items():
            if isinstance(value, Fabric):
                report.sections.append((f"logs of {name}", value.logs()))
    return report


@pytest.fixture(scope="session")
def fabric(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fabric]:
    """A running fabric with the endpoint ``local`` (2 workers), shared by all tests of a process. Leave it as it was."""
    with Fabric(tmp_path_factory.mktemp("fabric")) as running:
        yield running


@pytest.fixture
def new_fabric(tmp_path: Path) -> Iterator[Callable[..., Fabric]]:
    """Make fabrics of this test's own, with any options of `Fabric`; they are closed and checked after the test."""
    running: list[Fabric] = []

    def make(**options: object) -> Fabric:
        made = Fabric(tmp_path / f"fabric-{len(running)}", **options)  # type: ignore[arg-type]
        running.append(made)
        return made.__enter__()

    yield make
    for made in running:
        made.__exit__(None, None, None)


@pytest.fixture
def fresh_fabric(new_fabric: Callable[..., Fabric]) -> Fabric:
    """A running fabric that only this test uses, to break as it likes."""
    return new_fabric()
