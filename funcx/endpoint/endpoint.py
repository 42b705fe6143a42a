"""The command ``funcx-endpoint``, where the first release had it."""

from funcx_endpoint.cli import main as cli_run

__all__ = ["cli_run"]
