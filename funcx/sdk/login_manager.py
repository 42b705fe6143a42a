"""Signing in, under its documented name. Importing it loads no globus-sdk."""

from funcx_core.sdk.login_manager import FuncxScopes, LoginManager, LoginManagerProtocol

__all__ = ["FuncxScopes", "LoginManager", "LoginManagerProtocol"]
