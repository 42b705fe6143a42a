"""Where each command begins. Nothing heavy is imported before Ctrl-C has a meaning; see `interrupts`."""

from __future__ import annotations

from importlib import import_module

from funcx_core import interrupts


def funcx() -> None:
    """Run ``funcx``."""
    _run("funcx_core.fabric.cli")


def funcx_endpoint() -> None:
    """Run ``funcx-endpoint``."""
    _run("funcx_endpoint.cli")


def funcx_service() -> None:
    """Run ``funcx-service``, which takes SIGINT itself as soon as there is something to end."""
    _run("funcx_core.service.command")


def forwarder_service() -> None:
    """Run ``forwarder-service``, which does the same."""
    _run("funcx_core.fabric.direct_cli")


def _run(module: str) -> None:
    interrupts.end_the_process()
    import_module(module).main()
