"""What configures an endpoint; `config_file` reads it.

::

    config = Config(
        executors=[
            HighThroughputExecutor(provider=LocalProvider(init_blocks=1, max_blocks=1), max_workers_per_node=2),
        ],
    )
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, Final

from funcx_core.errors import ConfigError
from funcx_endpoint.executors.high_throughput import HighThroughputExecutor
from funcx_endpoint.executors.old_settings import OLD_SETTINGS
from funcx_endpoint.settings import checked, positive, without_old

_EXECUTOR_SETTINGS: Final = {field.name for field in dataclasses.fields(HighThroughputExecutor)} | {"max_workers"}


_OLD: Final = {
    # of the debugging path of version 0.0
    "redis_host": "the forwarder-service keeps its queues in its memory",
    "redis_port": "the forwarder-service keeps its queues in its memory",
    # of version 1.0
    "environment": "there is no hosted service; `funcx_service_address` names yours",
    "idle_heartbeats_hard": "an agent that idles stays; `funcx-endpoint stop` ends it",
    "idle_heartbeats_soft": "an agent that idles stays; `funcx-endpoint stop` ends it",
    "stderr": "what an agent prints is in its `log_dir`",
    "stdout": "what an agent prints is in its `log_dir`",
}
_OF_BOTH: Final = ("heartbeat_period", "heartbeat_threshold")
"""Settings of an endpoint and of its executor; the form of version 0.1 meant the executor's."""


@checked
@dataclasses.dataclass(kw_only=True, frozen=True)
class Config:
    """An endpoint.

    Attributes:
        executors: where tasks run; one `HighThroughputExecutor`.
        funcx_service_address: address of the service; None for the one that `funcx up` or the environment names.
        broker_address: address of a `forwarder-service`, such as ``http://127.0.0.1:50005``; used if `broker_test` is set.
        broker_test: connect to the `forwarder-service` directly, with no web service.
        description: shown to people who pick an endpoint.
        heartbeat_period: seconds between this endpoint's heartbeats to the service.
        heartbeat_threshold: seconds of the service's silence after which the endpoint registers again.
        window: leases that the endpoint holds at most; None for 4 a worker, but at least 1024.
        grace: seconds that running tasks get to finish when the endpoint is stopped.
        detach_endpoint: run in the background.
        log_dir: folder for logs; None for ``logs`` in the endpoint's folder.
        working_dir: where tasks run; None for ``tasks`` in the endpoint's folder.
        meta: further plain facts to show with the endpoint.
        public: whether every user of the service may submit; None for what the service has.
        group: name or id of the group whose members may submit; None for what the service has.
        allowed_functions: ids of the only functions that it runs; None for what the service has.
    """

    executors: Sequence[HighThroughputExecutor] = ()
    funcx_service_address: str | None = None
    broker_address: str | None = None
    broker_test: bool = False
    description: str = ""
    heartbeat_period: float = 5.0
    heartbeat_threshold: float = 30.0
    window: int | None = None
    grace: float = 30.0
    detach_endpoint: bool = True
    log_dir: str | None = None
    working_dir: str | None = None
    meta: dict[str, Any] = dataclasses.field(default_factory=dict)
    public: bool | None = None
    group: str | None = None
    allowed_functions: Sequence[str] | None = None

    @staticmethod
    def translate_old(given: dict[str, Any]) -> dict[str, Any]:
        """Accept the form of version 0.1, which had the settings of the executor at the top level."""
        given = without_old("Config", given, {**OLD_SETTINGS, **_OLD})
        moved = {name: value for name, value in given.items() if name in _EXECUTOR_SETTINGS and name not in SETTINGS}
        if not moved:
            return given
        if given.get("executors"):
            raise ConfigError(f"Config: {', '.join(moved)} belongs into HighThroughputExecutor(...).")
        rest = {name: value for name, value in given.items() if name not in moved}
        moved |= {name: given[name] for name in _OF_BOTH if name in given}
        return {**rest, "executors": [HighThroughputExecutor(**moved)]}

    def __post_init__(self) -> None:
        executors = tuple(self.executors) or (HighThroughputExecutor(),)
        object.__setattr__(self, "executors", executors)
        for executor in executors:
            if not isinstance(executor, HighThroughputExecutor):
                raise ConfigError(
                    f"executors holds a {type(executor).__name__}; a HighThroughputExecutor(...) is needed."
                )
        if len(executors) > 1:
            raise ConfigError(
                "executors holds more than one executor; an endpoint has one. Configure a second endpoint."
            )
        positive(self, "heartbeat_period", "heartbeat_threshold", "window")
        if self.heartbeat_threshold <= self.heartbeat_period:
            raise ConfigError("heartbeat_threshold must be longer than heartbeat_period.")
        if self.broker_test and not self.broker_address:
            raise ConfigError("broker_test needs broker_address, such as 'http://127.0.0.1:50005'.")
        if isinstance(self.allowed_functions, str):
            raise ConfigError("allowed_functions is one text; a list of ids of functions is needed.")
        if self.grace < 0:
            raise ConfigError(f"grace is {self.grace}; it must be 0 or more seconds.")

    @property
    def executor(self) -> HighThroughputExecutor:
        """The one executor."""
        return self.executors[0]


SETTINGS: Final = tuple(field.name for field in dataclasses.fields(Config))
ALSO_TAKEN: Final = _EXECUTOR_SETTINGS | OLD_SETTINGS.keys() | _OLD.keys()
"""What `translate_old` takes besides `SETTINGS`."""
