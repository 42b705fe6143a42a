"""Providers of blocks that are our own. All others are Parsl's: ``from parsl.providers import …``."""

from funcx_endpoint.providers.kubernetes import KubernetesProvider

__all__ = ["KubernetesProvider"]
