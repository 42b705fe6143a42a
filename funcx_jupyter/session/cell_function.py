"""The one function that notebooks register: it runs whatever cell it is given."""

from __future__ import annotations


def funcx_cell(spec: bytes) -> bytes:
    """Run a notebook cell. It travels as this source."""
    from importlib import import_module  # noqa: PLC0415 - it runs on the worker, where nothing of this module is

    outcome: bytes = import_module("funcx_endpoint.worker.cell").run_cell(spec)
    return outcome
