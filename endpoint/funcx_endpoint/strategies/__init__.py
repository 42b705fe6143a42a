"""When an endpoint asks for blocks and gives them up.

::

    from funcx_endpoint.strategies import SimpleStrategy

    config = Config(executors=[HighThroughputExecutor(strategy=SimpleStrategy(max_idletime=300), provider=...)])

A strategy of your own is a subclass of `BaseStrategy` with a method `strategize`, see there.
"""

from funcx_endpoint.strategies.base import BaseStrategy, Timer
from funcx_endpoint.strategies.kube_simple import KubeSimpleStrategy
from funcx_endpoint.strategies.simple import SimpleStrategy

__all__ = ["BaseStrategy", "KubeSimpleStrategy", "SimpleStrategy", "Timer"]
