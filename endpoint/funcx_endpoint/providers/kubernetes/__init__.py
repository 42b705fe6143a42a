"""Blocks as pods of a Kubernetes cluster."""

from funcx_endpoint.providers.kubernetes.kube import KubernetesProvider

__all__ = ["KubernetesProvider"]
