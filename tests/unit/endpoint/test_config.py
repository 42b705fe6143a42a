from __future__ import annotations

import dataclasses
import math

import pytest

from funcx_core.errors import ConfigError
from funcx_core.ids import new_endpoint_id
from funcx_core.protocol.features import FEATURES
from funcx_endpoint import templates
from funcx_endpoint.config import Config
from funcx_endpoint.config_file import load_config
from funcx_endpoint.executors import HighThroughputExecutor
from funcx_endpoint.registration import Registrar


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "theta"
    path.mkdir()
    return path


def write(folder, text):
    (folder / "config.py").write_text(text)
    return folder


IMPORTS = "from funcx_endpoint.endpoint.utils.config import Config\nfrom funcx_endpoint.executors import HighThroughputExecutor\n"


def test_a_mistyped_key_names_the_nearest_right_one_and_the_line(folder):
    write(folder, IMPORTS + "config = Config(\n    executors=[HighThroughputExecutor(max_worker_per_node=2)])\n")
    with pytest.raises(
        ConfigError, match=r"config.py, line 4: .*'max_worker_per_node'. Did you mean 'max_workers_per_node'\?"
    ):
        load_config(folder)


def test_a_mistyped_key_of_config(folder):
    with pytest.raises(ConfigError, match="Did you mean 'heartbeat_period'"):
        Config(heartbeet_period=3)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("config = (", r"config.py, line 1: '\(' was never closed"),
        ("\n1/0\n", "config.py, line 2: ZeroDivisionError: division by zero"),
        ("x = 1\n", r"must set `config = Config\(...\)`"),
        ("import parsel_not_there\n", "line 1: ModuleNotFoundError"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(folder, text, said):
    with pytest.raises(ConfigError, match=said):
        load_config(write(folder, text))


def test_a_missing_file_says_what_to_type(folder):
    with pytest.raises(ConfigError, match="funcx-endpoint configure theta"):
        load_config(folder)


def test_the_form_of_early_versions_is_read(folder):
    write(
        folder,
        IMPORTS
        + "config = Config(max_workers_per_node=3, cores_per_worker=0.5, heartbeat_period=2, scaling_enabled=False, worker_mode='no_container')\n",
    )
    config = load_config(folder)
    assert config.executor.max_workers_per_node == 3
    assert config.executor.scaling_enabled is False
    assert config.heartbeat_period == 2


def test_both_forms_at_once_are_refused():
    with pytest.raises(ConfigError, match="max_workers belongs into"):
        Config(max_workers=3, executors=[HighThroughputExecutor()])


@pytest.mark.parametrize(
    "settings",
    [
        {"max_workers_per_node": 0},
        {"heartbeat_period": -1},
        {"heartbeat_period": 5, "heartbeat_threshold": 4},
        {"provider": 3},
    ],
)
def test_impossible_values_are_refused(settings):
    with pytest.raises(ConfigError):
        HighThroughputExecutor(**settings)


def test_only_one_executor():
    with pytest.raises(ConfigError, match="more than one"):
        Config(executors=[HighThroughputExecutor(), HighThroughputExecutor()])


def test_the_template_can_be_read(folder):
    write(folder, templates.text("laptop"))
    pytest.importorskip("parsl")
    assert load_config(folder).executor.provider.max_blocks == 1


def test_workers_follow_cores_and_memory():
    assert HighThroughputExecutor().workers(8, 64) == 8
    assert HighThroughputExecutor(cores_per_worker=0.5).workers(8, 64) == 16
    assert HighThroughputExecutor(max_workers_per_node=3).workers(8, 64) == 3
    assert HighThroughputExecutor(mem_per_worker=32).workers(8, 64) == 2
    assert HighThroughputExecutor(cores_per_worker=16).workers(8, 64) == 1


def test_bounds_of_workers_are_bytes_for_the_manager():
    executor = HighThroughputExecutor(mem_per_worker=0.5, max_worker_growth=2, max_processes_per_worker=math.inf)
    assert executor.worker_limits() == {
        "memory_limit": 500_000_000,
        "process_limit": None,
        "load_timeout": 300.0,
        "max_tasks": None,
        "max_growth": 2_000_000_000,
    }
    assert HighThroughputExecutor(max_tasks_per_worker=7).worker_limits()["max_tasks"] == 7
    with pytest.raises(ConfigError, match="max_tasks_per_worker is 0"):
        HighThroughputExecutor(max_tasks_per_worker=0)


def test_the_first_release_is_read_with_all_its_settings(folder, caplog):
    text = """
from funcx.config import Config

config = Config(
    scaling_enabled=True, worker_ports=None, worker_port_range=(54000, 55000), strategy=None, max_workers_per_node=2,
    cores_per_worker=1.0, mem_per_worker=None, launch_cmd=None, worker_mode="no_container", scheduler_mode="hard",
    container_type=None, prefetch_capacity=10, heartbeat_period=2, heartbeat_threshold=10, poll_period=10, working_dir=None,
    worker_debug=True,
)
"""
    config = load_config(write(folder, text))
    assert (config.executor.max_workers_per_node, config.executor.worker_debug) == (2, True)
    assert (config.heartbeat_period, config.executor.heartbeat_period, config.executor.heartbeat_threshold) == (
        2,
        2,
        10,
    )
    assert "poll_period" in caplog.text


def test_a_file_of_later_releases_has_a_meta_beside_its_config(folder, caplog):
    text = """
config = Config(executors=[HighThroughputExecutor()], environment="dev", stdout="./endpoint.log", idle_heartbeats_soft=0)
meta = {"name": "theta", "description": "a cluster", "organization": "a lab", "department": "", "public": False, "visible_to": []}
"""
    config = load_config(write(folder, IMPORTS + text))
    assert (config.description, config.meta) == ("a cluster", {"organization": "a lab"})
    for name in ("environment", "idle_heartbeats_soft", "stdout"):
        assert f"Config: {name} has no effect in this version: " in caplog.text
    assert "visible_to" not in caplog.text
    assert config.public is None
    shared = text.replace('"public": False', '"public": True').replace("[]}", "['urn:x']}")
    assert load_config(write(folder, IMPORTS + shared)).public is True
    assert "visible_to has no effect" in caplog.text


def test_what_is_said_about_sharing_is_sent_and_nothing_else():
    def sent(**settings):
        registrar = Registrar(Config(**settings), endpoint_id=new_endpoint_id(), name="theta", public_key="k")
        assert registrar._request["features"] == FEATURES
        return registrar._request.keys() & {"public", "group", "allowed_functions"}

    assert sent() == set()
    assert sent(public=False, group="lab", allowed_functions=[]) == {"public", "group", "allowed_functions"}
    with pytest.raises(ConfigError, match="a list of ids"):
        Config(allowed_functions="sha256:x")


DOCUMENTED_FOR_EXECUTORS = [
    "address",
    "cores_per_worker",
    "container_image",
    "container_type",
    "endpoint_db",
    "endpoint_id",
    "heartbeat_period",
    "heartbeat_threshold",
    "interchange_port_range",
    "label",
    "launch_cmd",
    "managed",
    "max_workers",
    "max_workers_per_node",
    "mem_per_worker",
    "passthrough",
    "poll_period",
    "prefetch_capacity",
    "provider",
    "scaling_enabled",
    "scheduler_mode",
    "storage_access",
    "storage_delay",
    "suppress_failure",
    "worker_debug",
    "worker_logdir_root",
    "worker_mode",
    "worker_port_range",
    "worker_ports",
    "working_dir",
    "interchange_local",
    "available_accelerators",
    "cpu_affinity",
    "client_address",
    "client_ports",
    "interchange_address",
]


@pytest.mark.parametrize("name", DOCUMENTED_FOR_EXECUTORS)
def test_every_documented_setting_has_a_meaning_or_is_said_to_have_none(name, caplog):
    fields = {field.name: field for field in dataclasses.fields(HighThroughputExecutor)}
    default = fields[name].default if name in fields else 2
    HighThroughputExecutor(**{name: default})
    means_something = name in fields or name == "max_workers"
    assert (f"{name} has no effect in this version: " in caplog.text) is not means_something


def test_what_only_an_executor_that_stands_alone_has_is_said_of_an_endpoint(folder, caplog):
    load_config(write(folder, IMPORTS + "config = Config(interchange_port_range=(50000, 50010))\n"))
    assert "interchange_port_range has no effect" in caplog.text
