"""Blocks as pods of a Kubernetes cluster, where the first release had them."""

from funcx_endpoint.providers.kubernetes.kube import KubernetesProvider

__all__ = ["KubernetesProvider"]
