"""When an endpoint asks for blocks and gives them up, where the first release had it."""

from funcx_endpoint.strategies import BaseStrategy, KubeSimpleStrategy, SimpleStrategy

__all__ = ["BaseStrategy", "KubeSimpleStrategy", "SimpleStrategy"]
