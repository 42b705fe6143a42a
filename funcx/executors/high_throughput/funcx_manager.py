"""The process of a node that deals tasks to workers, where the first release had it."""

from funcx_endpoint.manager.command import main as cli_run
from funcx_endpoint.manager.machine.state import Manager

__all__ = ["Manager", "cli_run"]
