"""An endpoint's agent whose three channels to the forwarder each go through a proxy that misbehaves on demand."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from tests.support.chaosproxy import ChaosProxy
from tests.support.fabric import ENDPOINT_CONFIG, Fabric

AGENT_BEHIND_PROXY: Final = """
import json
import msgspec
from funcx_endpoint.registration import Registrar

_register = Registrar.register


def _behind_proxy(self):
    found = _register(self)
    with open("{folder}/targets", "w") as file:
        json.dump([found.tasks_port, found.results_port, found.commands_port], file)
    tasks, results, commands = json.load(open("{folder}/ports"))
    return msgspec.structs.replace(found, tasks_port=tasks, results_port=results, commands_port=commands)


Registrar.register = _behind_proxy
"""

TASKS, RESULTS, COMMANDS = range(3)
"""Which proxy is of which channel."""


@contextmanager
def agent_behind_proxies(fabric: Fabric, folder: Path, *, threshold: float = 1.0) -> Iterator[list[ChaosProxy]]:
    """Start the endpoint `local` with a proxy before each of the forwarder's three ports."""
    targets = folder / "targets"
    with ExitStack() as stack:
        proxies = [
            stack.enter_context(ChaosProxy(lambda index=index: ("127.0.0.1", json.loads(targets.read_text())[index])))
            for index in range(3)
        ]
        (folder / "ports").write_text(json.dumps([proxy.port for proxy in proxies]))
        text = ENDPOINT_CONFIG.format(workers=2, period=0.3, threshold=threshold)
        fabric.configure_endpoint("local", text + AGENT_BEHIND_PROXY.format(folder=folder))
        fabric.endpoint_names = ("local",)
        fabric.start_endpoint("local")
        yield proxies
        fabric.stop_endpoint("local")
