"""What there is where tasks run: reported by managers, kept by the service, read before a task is submitted."""

from __future__ import annotations

from typing import Final

import msgspec

MOST_NAMES: Final = 5000
"""Packages, and modules, that are reported of one environment."""
MOST_ENVIRONMENTS: Final = 8
"""Different kinds of nodes that one endpoint reports; a further one replaces the oldest."""

MOST_IMAGES: Final = 16
"""Images of containers that are reported of one environment."""


class Accelerator(msgspec.Struct, frozen=True, order=True, omit_defaults=True):
    """One accelerator of a node. `memory_bytes` and `driver` are 0 and empty where nothing tells them."""

    name: str
    memory_bytes: int = 0
    driver: str = ""


class Environment(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One kind of node of an endpoint, as the Python sees it that runs its tasks.

    Attributes:
        python_version: such as ``3.12.1``.
        implementation: such as ``CPython``.
        executable: path of the interpreter.
        platform: operating system, release and architecture, in words.
        version: of this package there.
        processor: name of the processor.
        cores: processors that the workers may use, all together.
        memory_bytes: main memory of the node.
        accelerators: what it has of them.
        packages: version of every installed distribution, by normalized name (lower case, ``-`` for ``_`` and ``.``).
        modules: names that can be imported there and do not come with Python itself, such as ``sklearn``.
        container: the image in which the tasks run; empty for none.
        images: what names the image and no other, such as ``sha256:…``, of each that workers have run in; the last `MOST_IMAGES`.
    """

    python_version: str
    implementation: str = "CPython"
    executable: str = ""
    platform: str = ""
    version: str = ""
    processor: str = ""
    cores: int = 0
    memory_bytes: int = 0
    accelerators: list[Accelerator] = []
    packages: dict[str, str] = {}
    modules: list[str] = []
    container: str = ""
    images: dict[str, str] = {}
