"""What a pod runs, where the first release had it."""

from funcx_endpoint.providers.kubernetes.template import template_string

__all__ = ["template_string"]
