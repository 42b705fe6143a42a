"""Settings of earlier versions that are taken, and said to have no effect: why there is nothing for them to set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

OLD_SETTINGS: Final[Mapping[str, str]] = {
    "client_address": "an agent connects to its forwarder, and nobody connects to it",
    "client_ports": "an agent connects to its forwarder, and nobody connects to it",
    "endpoint_db": "an endpoint keeps its own files",
    "endpoint_id": "the id is in the endpoint's folder; `funcx-endpoint start --endpoint-uuid` sets it",
    "interchange_address": "managers connect to `address`",
    "interchange_local": "the agent runs where `funcx-endpoint start` is called",
    "managed": "whoever starts an executor manages it",
    "poll_period": "nothing polls: every process sleeps until there is something to do",
    "storage_access": "executors move no files; pass values of up to 10 GB, or paths",
    "storage_delay": "executors move no files; pass values of up to 10 GB, or paths",
    "suppress_failure": "an endpoint always goes on after the failure of a block, manager or worker",
}
