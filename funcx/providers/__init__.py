"""Providers of blocks, where the first release had them. Parsl's are in ``parsl.providers``."""

from funcx_endpoint.providers import KubernetesProvider

__all__ = ["KubernetesProvider"]
