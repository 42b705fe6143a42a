"""Documented submodules of old releases."""
