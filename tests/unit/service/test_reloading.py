"""What a running service makes of new settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from funcx_core.protocol.client import Limits
from funcx_core.service.auth.config import AuthConfig, JupyterHubConfig
from funcx_core.service.config import (
    ForwarderSection,
    ListenConfig,
    LogConfig,
    MetricsConfig,
    RateConfig,
    RetentionConfig,
    ServiceConfig,
)
from funcx_core.service.reloading import Reloaded, differences, reloaded

OLD = ServiceConfig(data_dir=Path("/data"))
HUB = JupyterHubConfig(api_url="https://hub.example.org/hub/api")
CERTIFIED = ListenConfig(certificate=Path("/old.pem"), key=Path("/old.key"))


@pytest.mark.parametrize(
    ("changed", "taken"),
    [
        ({}, []),
        ({"limits": Limits(max_batch=7)}, ["limits.max_batch"]),
        ({"rate": RateConfig(per_second=5, burst=6)}, ["rate.per_second", "rate.burst"]),
        ({"retention": RetentionConfig(results=1)}, ["retention.results"]),
        ({"logs": LogConfig(debug=True)}, ["logs.debug"]),
        ({"auth": AuthConfig(jupyterhub=HUB)}, ["auth.jupyterhub"]),
        ({"listen": ListenConfig(allowed_hosts=frozenset({"funcx.lab"}))}, ["listen.allowed_hosts"]),
        ({"metrics": MetricsConfig(from_loopback=False)}, ["metrics.from_loopback"]),
    ],
)
def test_this_is_taken_at_once(changed: dict[str, Any], taken: list[str]) -> None:
    new = replace(OLD, **changed)
    assert reloaded(OLD, new) == Reloaded(config=new, taken=taken, at_restart=[])


@pytest.mark.parametrize(
    ("changed", "at_restart"),
    [
        ({"listen": ListenConfig(port=7)}, ["listen.port"]),
        ({"listen": CERTIFIED}, ["listen.certificate", "listen.key"]),
        ({"forwarder": ForwarderSection(heartbeat_period=1)}, ["forwarder.heartbeat_period"]),
        ({"metrics": MetricsConfig(enabled=False)}, ["metrics.enabled"]),
        ({"blob_store": "file:///large"}, ["blob_store"]),
        ({"data_dir": Path("/other")}, ["data_dir"]),
    ],
)
def test_this_waits_for_the_next_start(changed: dict[str, Any], at_restart: list[str]) -> None:
    assert reloaded(OLD, replace(OLD, **changed)) == Reloaded(config=OLD, taken=[], at_restart=at_restart)


def test_both_at_a_time_and_what_waits_is_named_again() -> None:
    new = replace(OLD, limits=Limits(max_batch=7), blob_store="file:///large")
    first = reloaded(OLD, new)
    assert (first.taken, first.at_restart) == (["limits.max_batch"], ["blob_store"])
    again = reloaded(first.config, new)
    assert (again.taken, again.at_restart) == ([], ["blob_store"])


def test_a_certificate_may_come_from_other_files() -> None:
    old = replace(OLD, listen=CERTIFIED)
    new = replace(OLD, listen=ListenConfig(certificate=Path("/new.pem"), key=Path("/new.key")))
    assert reloaded(old, new).taken == ["listen.certificate", "listen.key"]
    assert reloaded(old, OLD).at_restart == ["listen.certificate", "listen.key"]


def test_a_store_for_large_values_is_not_opened_while_the_service_runs() -> None:
    without = replace(OLD, limits=Limits(max_blob=0))
    found = reloaded(without, replace(OLD, limits=Limits(max_batch=7)))
    assert (found.taken, found.at_restart) == (["limits.max_batch"], ["limits.max_blob"])
    assert reloaded(OLD, without).taken == ["limits.max_blob"]


def test_every_key_is_taken_or_waits() -> None:
    assert differences(OLD, OLD) == []
    deep = replace(OLD, auth=AuthConfig(jupyterhub=HUB))
    assert differences(deep, replace(deep, auth=AuthConfig(jupyterhub=replace(HUB, service="x")))) == [
        "auth.jupyterhub.service"
    ]
