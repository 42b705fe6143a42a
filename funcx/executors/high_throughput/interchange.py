"""The process that assigns tasks to managers, where the first release had it."""

from funcx_core.errors import ManagerLost
from funcx_endpoint.interchange.__main__ import main as cli_run
from funcx_endpoint.interchange.state import Interchange

__all__ = ["Interchange", "ManagerLost", "cli_run"]
