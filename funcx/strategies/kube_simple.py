"""Blocks of each kind follow the load of that kind, where the first release had it."""

from funcx_endpoint.strategies.kube_simple import KubeSimpleStrategy

__all__ = ["KubeSimpleStrategy"]
