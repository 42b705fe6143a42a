"""The published clients that must work unmodified: what installs each, what it runs, and what it cannot do."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

FEATURES: Final = {
    "sign-in": "sign-in without code: a saved login, or id and secret",
    "register": "register_function",
    "run": "run, TaskPending, get_result",
    "values": "values of many types, both ways",
    "numpy": "arrays, both ways",
    "large": "1 MB argument, 2 MB result",
    "oversize": "a result over the limit",
    "batch": "a batch and its results",
    "map_run": "map_run",
    "raises": "a function that raises a builtin exception",
    "raises own": "a function that raises an exception of its own",
    "unknown task": "an unknown task",
    "unknown in batch": "an unknown task among others",
    "unknown function": "an unknown function",
    "unknown endpoint": "an unknown endpoint",
    "forbidden function": "somebody else's private function",
    "shared function": "somebody else's public function",
    "whitelist": "whitelists; a function that is not on one",
    "containers": "containers",
    "lock": "a lock on an endpoint",
    "delete": "get and delete functions and endpoints",
    "bad token": "a token that is not known",
    "endpoint status": "get_endpoint_status",
    "executor": "FuncXExecutor, results as they come",
    "asynchronous": "FuncXClient(asynchronous=True)",
    "no broker": "who asks for a message broker is told that there is none",
}
"""What is tried, in the order of the table."""


@dataclass(frozen=True)
class Client:
    """One published client.

    Attributes:
        name: of its environment and its column.
        requirements: what is installed; the versions beside the client's own are those it still works with.
        unpinned: what replaces a requirement of its own, installed afterwards without looking at dependencies.
        script: the module in ``scripts/`` that uses it.
        base: the path of the API that it speaks.
        smoke: whether it is tried whenever all tests run, not only by ``make conformance``.
        cannot: features that it has not, or that need what this service does not have, each with the reason.
    """

    name: str
    requirements: tuple[str, ...]
    script: str
    base: str
    unpinned: tuple[str, ...] = ()
    smoke: bool = False
    cannot: dict[str, str] = field(default_factory=dict)


_NO_BROKER: Final = "reads results from a message broker; none is configured"
_OLD_GLOBUS: Final = ("globus-sdk<3", "fair-research-login==0.2.6")

CLIENTS: Final = (
    Client(
        "funcx-0.0.3",
        ("funcx==0.0.3", *_OLD_GLOBUS, "numpy"),
        "funcx_0",
        "/v1",
        cannot={
            "lock": "came with 1.0",
            "delete": "came with funcx 2.0",
            "no broker": "came with 1.0",
            "executor": "came with 0.3",
            "asynchronous": "came with 0.3",
        },
    ),
    Client(
        "funcx-0.2.3",
        ("funcx==0.2.3", *_OLD_GLOBUS, "parsl==1.1.0", "typeguard<3", "numpy"),
        "funcx_0",
        "/v2",
        cannot={
            "lock": "came with 1.0",
            "delete": "came with funcx 2.0",
            "no broker": "came with 1.0",
            "executor": "came with 0.3",
            "asynchronous": "came with 0.3",
        },
    ),
    Client(
        "funcx-0.3.9",
        ("funcx==0.3.9", "numpy"),
        "funcx_0",
        "/v2",
        unpinned=("websockets==10.3",),
        smoke=True,
        cannot={"lock": "came with 1.0", "delete": "came with funcx 2.0", "no broker": "came with 1.0"},
    ),
    Client(
        "funcx-1.0.6",
        ("funcx==1.0.6", "numpy"),
        "funcx_1",
        "/v2",
        smoke=True,
        cannot={"map_run": "went with 1.0", "delete": "came with funcx 2.0", "executor": _NO_BROKER},
    ),
    Client(
        "globus-compute-sdk-4.19.0",
        ("globus-compute-sdk==4.19.0", "numpy"),
        "globus_compute",
        "",
        cannot={
            "map_run": "went with funcx 1.0",
            "containers": "went with funcx 2.0",
            "executor": _NO_BROKER,
            "asynchronous": "went with funcx 2.0",
        },
    ),
)
