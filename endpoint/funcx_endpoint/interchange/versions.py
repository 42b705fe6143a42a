"""Which managers an interchange can work with. Pure."""

from __future__ import annotations

from typing import Final

from funcx_core import __version__
from funcx_core.protocol.endpoint import PROTOCOL_VERSION
from funcx_core.protocol.manager import ManagerRegister

MISMATCH: Final = "version_mismatch"


def mismatch(message: ManagerRegister, python_version: str) -> str:
    """Return why this manager is of no use to an agent on `python_version`; empty if it is.

    Another minor version of Python is: functions travel as source where there is source. Another major one is another language.
    """
    if message.protocol_version != PROTOCOL_VERSION:
        return (
            f"The manager on {message.hostname} is of funcX {message.version} and speaks protocol {message.protocol_version}, "
            f"the agent is of {__version__} and speaks {PROTOCOL_VERSION}. Install the same version in the worker_init of its block."
        )
    if _major(message.python_version) != _major(python_version):
        return (
            f"The manager on {message.hostname} runs Python {message.python_version}, the agent {python_version}. "
            "Activate an environment of the same Python in the worker_init of its block."
        )
    return ""


def _major(version: str) -> str:
    return version.partition(".")[0]
