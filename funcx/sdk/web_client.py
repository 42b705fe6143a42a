"""What login managers hand over, under its documented name."""

from funcx_core.sdk.login_manager.web_client import FuncxWebClient

__all__ = ["FuncxWebClient"]
