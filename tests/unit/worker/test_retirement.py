"""When a worker gives way to a new one."""

from __future__ import annotations

from funcx_endpoint.worker.retirement import half_imported


def test_an_import_that_was_interrupted_leaves_parts_of_a_package_without_it() -> None:
    assert half_imported(["sys", "os", "os.path", "asyncio.base_events", "asyncio.events"]) == (
        "an import was interrupted and left asyncio.base_events behind"
    )
    assert half_imported(["sys", "os", "os.path", "asyncio", "asyncio.events"]) == ""
