"""Providers of blocks that Parsl does not have. All others are Parsl's own: ``from parsl.providers import …``."""
