"""The page on old names tells the truth about every module that the documentation of the first release had."""

from __future__ import annotations

import importlib
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

from funcx_core.errors import ManagerLost
from funcx_endpoint import config, executors

PAGE = (Path(__file__).parents[2] / "docs" / "old-names.md").read_text(encoding="utf-8")
THERE, _, GONE = PAGE.partition("## What has no counterpart")
DOTTED = re.compile(r"`(funcx(?:_endpoint)?(?:\.\w+)+)`")
IS_NAME = re.compile(r"[A-Z]|naive_scheduler$")
NAMES = sorted(name for name in set(DOTTED.findall(THERE)) if IS_NAME.match(name.rpartition(".")[2]))
GONE_MODULES = sorted(set(DOTTED.findall("\n".join(line.split("|")[1] for line in GONE.splitlines() if "|" in line))))

FIRST_RELEASE = [
    "funcx",
    "funcx.config",
    "funcx.endpoint",
    "funcx.endpoint.auth",
    "funcx.endpoint.config",
    "funcx.endpoint.endpoint",
    "funcx.endpoint.list_endpoints",
    "funcx.endpoint.utils",
    "funcx.endpoint.utils.MDP",
    "funcx.endpoint.utils.zhelpers",
    "funcx.endpoint.utils.zmq_worker",
    "funcx.endpoint.version",
    "funcx.errors",
    "funcx.executors",
    "funcx.executors.high_throughput",
    "funcx.executors.high_throughput.container_sched",
    "funcx.executors.high_throughput.default_config",
    "funcx.executors.high_throughput.executor",
    "funcx.executors.high_throughput.funcx_manager",
    "funcx.executors.high_throughput.funcx_worker",
    "funcx.executors.high_throughput.global_config",
    "funcx.executors.high_throughput.interchange",
    "funcx.executors.high_throughput.interchange_task_dispatch",
    "funcx.executors.high_throughput.worker_map",
    "funcx.executors.high_throughput.zmq_pipes",
    "funcx.mock_broker",
    "funcx.mock_broker.forwarder",
    "funcx.mock_broker.mock_broker",
    "funcx.mock_broker.mock_tester",
    "funcx.mock_broker.test",
    "funcx.providers",
    "funcx.providers.kubernetes",
    "funcx.providers.kubernetes.kube",
    "funcx.providers.kubernetes.template",
    "funcx.queues",
    "funcx.queues.base",
    "funcx.queues.redis",
    "funcx.queues.redis.redis_q",
    "funcx.sdk",
    "funcx.sdk.client",
    "funcx.sdk.config",
    "funcx.sdk.utils",
    "funcx.sdk.utils.futures",
    "funcx.sdk.utils.throttling",
    "funcx.sdk.version",
    "funcx.serialize",
    "funcx.serialize.base",
    "funcx.serialize.concretes",
    "funcx.serialize.facade",
    "funcx.strategies",
    "funcx.strategies.base",
    "funcx.strategies.kube_simple",
    "funcx.strategies.simple",
    "funcx.version",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_of_the_page_is_there(name: str) -> None:
    module, _, attribute = name.rpartition(".")
    found = importlib.import_module(module)
    assert attribute in found.__all__
    assert getattr(found, attribute).__doc__ or attribute == "VERSION"


@pytest.mark.parametrize("module", FIRST_RELEASE)
def test_every_documented_module_is_there_or_said_to_have_no_counterpart(module: str) -> None:
    if module in GONE_MODULES:
        parent = module.rpartition(".")[0]
        assert parent in GONE_MODULES or importlib.util.find_spec(module) is None
    else:
        importlib.import_module(module)


def test_old_names_are_names_of_the_real_thing() -> None:
    from funcx.config import Config
    from funcx.executors.high_throughput import executor, funcx_manager, interchange

    assert Config is config.Config
    assert executor.HighThroughputExecutor is executors.HighThroughputExecutor
    assert interchange.ManagerLost is ManagerLost
    assert callable(interchange.cli_run)
    assert callable(funcx_manager.cli_run)


def test_the_names_of_endpoints_cost_an_import_of_funcx_nothing() -> None:
    script = "import sys, funcx; print([name for name in sys.modules if name.startswith('funcx_endpoint')])"
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True, timeout=30)
    assert done.stdout == "[]\n"
