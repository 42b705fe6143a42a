"""Documented submodules of the SDK."""
