"""What an executor hands to its agent: made anew there, or refused with the name of what cannot be."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import pytest
from parsl.launchers import SrunLauncher
from parsl.providers import LocalProvider, PBSProProvider, SlurmProvider
from parsl.utils import RepresentationMixin

from funcx_core.errors import ConfigError
from funcx_core.ids import EndpointId
from funcx_core.protocol.endpoint import EndpointRegistration
from funcx_endpoint.executors import HighThroughputExecutor
from funcx_endpoint.executors.alone import handover
from funcx_endpoint.executors.alone.agent import AgentProcess
from funcx_endpoint.strategies import SimpleStrategy

FORWARDER = EndpointRegistration(
    endpoint_id=EndpointId("e"),
    forwarder_pubkey="key",
    public_ip="127.0.0.1",
    tasks_port=1,
    results_port=2,
    commands_port=3,
)


def handed_over(folder: Path, executor: HighThroughputExecutor) -> HighThroughputExecutor:
    handover.give(folder, executor, FORWARDER)
    settings, forwarder = handover.take(folder)
    assert forwarder == FORWARDER
    return HighThroughputExecutor(**settings)


@pytest.mark.parametrize(
    "provider",
    [
        LocalProvider(init_blocks=2, max_blocks=3, worker_init="module load x"),
        SlurmProvider(
            "debug", account="a", nodes_per_block=2, walltime="00:20:00", launcher=SrunLauncher(overrides="--mpi=none")
        ),
        PBSProProvider("q", "a", scheduler_options="#PBS -l x", cpus_per_node=4),
    ],
    ids=lambda provider: type(provider).__name__,
)
def test_a_provider_arrives_as_it_was(tmp_path: Path, provider: Any) -> None:
    made = handed_over(tmp_path, HighThroughputExecutor(provider=provider)).provider
    assert type(made) is type(provider)
    assert made is not provider
    assert repr(made) == repr(provider)


class WithClient(RepresentationMixin):  # type: ignore[misc] # Parsl has no types
    """As a provider that made the client of an interface when it was made itself."""

    submit = status = cancel = None

    def __init__(self, account: str, launcher: Any = None) -> None:
        self.account = account
        self.launcher = launcher
        self.client = threading.local()


def test_a_provider_with_a_client_is_made_by_the_same_call(tmp_path: Path) -> None:
    provider = WithClient("a", SrunLauncher(overrides="--mpi=none"))
    made = handed_over(tmp_path, HighThroughputExecutor(provider=provider)).provider
    assert (made.account, made.launcher.overrides) == ("a", "--mpi=none")
    assert made.client is not provider.client


def test_settings_arrive_and_results_may_be_as_large_as_a_message(tmp_path: Path) -> None:
    executor = handed_over(tmp_path, HighThroughputExecutor(max_workers_per_node=3, available_accelerators=["0", "1"]))
    assert executor.max_workers_per_node == 3
    assert executor.available_accelerators == ["0", "1"]
    assert (executor.max_result, executor.max_large_result) == (handover.MOST_INLINE, 0)


def test_a_strategy_arrives_and_serves_there(tmp_path: Path) -> None:
    executor = handed_over(tmp_path, HighThroughputExecutor(strategy=SimpleStrategy(threshold=7, max_idletime=300)))
    assert isinstance(executor.strategy, SimpleStrategy)
    assert (executor.strategy.threshold, executor.strategy.max_idletime) == (7, 300)


def test_a_lower_limit_of_results_stays(tmp_path: Path) -> None:
    executor = HighThroughputExecutor(max_result=1000, max_large_result=0)
    assert handed_over(tmp_path, executor).max_result == 1000


def test_the_files_are_private(tmp_path: Path) -> None:
    handover.give(tmp_path, HighThroughputExecutor(), FORWARDER)
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


class Unsendable:
    """Looks like a provider, and holds what cannot leave its process."""

    submit = status = cancel = None

    def __init__(self) -> None:
        self.lock = threading.local()
        self.thread = threading.current_thread()


def test_a_provider_that_cannot_travel_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"provider \(Unsendable\) cannot be handed"):
        handover.give(tmp_path, HighThroughputExecutor(provider=Unsendable()), FORWARDER)


def test_folders_of_executors_that_died_with_their_agents_are_swept_away() -> None:
    first = AgentProcess("a")
    path = first.folder.path
    owner = (path / "owner.json").read_bytes()
    stale = path.parent / "1-stale"
    stale.mkdir()
    (stale / "owner.json").write_bytes(owner.replace(f'"pid":{os.getpid()}'.encode(), b'"pid":4194303'))
    second = AgentProcess("b")
    assert {path, second.folder.path} == set(path.parent.iterdir())
    first.end()
    second.end()
    assert not list(path.parent.iterdir())
