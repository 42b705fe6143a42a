"""What counts besides the endpoint's own file: the environment, and the global options."""

from __future__ import annotations

import logging

import pytest

from funcx_core.errors import ConfigError
from funcx_endpoint import global_options, overrides
from funcx_endpoint.config import Config
from funcx_endpoint.config_file import load_config
from funcx_endpoint.executors import HighThroughputExecutor


class Provider:
    """As little of a provider as is needed."""

    def __init__(self, max_blocks=1, walltime="00:10:00", partition=None):
        self.max_blocks, self.walltime, self.partition = max_blocks, walltime, partition

    def submit(self, *_): ...

    status = cancel = submit


def a_config(**settings):
    return Config(executors=[HighThroughputExecutor(provider=Provider(), **settings)])


def test_the_environment_sets_what_the_file_sets():
    config = overrides.apply(
        a_config(max_workers_per_node=2),
        {
            "FUNCX_ENDPOINT__HEARTBEAT_PERIOD": "3",
            "FUNCX_ENDPOINT__DESCRIPTION": "of the cluster",
            "FUNCX_ENDPOINT__ENGINE__MAX_WORKERS_PER_NODE": "4",
            "FUNCX_ENDPOINT__EXECUTOR__WORKER_DEBUG": "true",
            "FUNCX_ENDPOINT__ENGINE__PROVIDER__MAX_BLOCKS": "7",
            "FUNCX_ENDPOINT__ENGINE__PROVIDER__WALLTIME": "01:00:00",
            "FUNCX_ENDPOINT_DIR": "/elsewhere",
        },
    )
    assert (config.heartbeat_period, config.description) == (3, "of the cluster")
    assert (config.executor.max_workers_per_node, config.executor.worker_debug) == (4, True)
    assert (config.executor.provider.max_blocks, config.executor.provider.walltime) == (7, "01:00:00")


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("HEARTBEAT_PEROID", "3", "Config has no setting 'heartbeat_peroid'. Did you mean 'heartbeat_period'?"),
        ("HEARTBEAT_PERIOD", "soon", "heartbeat_period is 'soon'; a number above 0 is needed."),
        ("ENGINE__WALLTIM", "3", "HighThroughputExecutor has no setting 'walltim'. Did you mean 'walltime'?"),
        ("ENGINE__PROVIDER__MAX_BLOK", "3", "Provider has no setting 'max_blok'. Did you mean 'max_blocks'?"),
        ("ENGINE__PROVIDER__MAX_BLOCKS", "many", "max_blocks of Provider is 1"),
        ("ENGINE__PROVIDER__PARTITION", "gpu", "partition of Provider is set in the endpoint's file only."),
        ("ENGINE__PROVIDER", "3", "Provider has no setting ''"),
        ("ENGINE", "3", "HighThroughputExecutor has no setting ''"),
        ("EXECUTORS", "3", "Config has no setting 'executors'. Did you mean 'executor'?"),
        ("META__A", "3", "'meta__a' of Config cannot be set in the environment."),
    ],
)
def test_a_wrong_variable_is_named(name, value, said):
    with pytest.raises(ConfigError) as caught:
        overrides.apply(a_config(), {f"FUNCX_ENDPOINT__{name}": value})
    assert str(caught.value).startswith(f"$FUNCX_ENDPOINT__{name}: ")
    assert said in str(caught.value)


def test_what_the_environment_sets_is_in_the_script_of_a_job(tmp_path, monkeypatch):
    providers = pytest.importorskip("parsl.providers")
    provider = providers.SlurmProvider(worker_init="before")
    provider.script_dir = str(tmp_path)
    config = Config(executors=[HighThroughputExecutor(provider=provider)])
    variables = {"WALLTIME": "03:00:00", "WORKER_INIT": "module load python"}
    overrides.apply(config, {f"FUNCX_ENDPOINT__ENGINE__PROVIDER__{name}": value for name, value in variables.items()})
    monkeypatch.setattr(provider, "execute_wait", lambda _: (0, "Submitted batch job 7", ""))
    assert provider.submit("run the manager", 1, "block") == "7"
    (script,) = tmp_path.iterdir()
    lines = script.read_text().splitlines()
    assert "#SBATCH --time=180" in lines
    assert "module load python" in lines
    assert "before" not in lines


def test_an_endpoint_without_a_provider_has_none_to_change():
    with pytest.raises(ConfigError, match="no provider"):
        overrides.apply(Config(), {"FUNCX_ENDPOINT__ENGINE__PROVIDER__MAX_BLOCKS": "3"})


@pytest.fixture
def with_global(tmp_path):
    def with_global(text, config=None):
        path = tmp_path / "config.py"
        path.write_text(text)
        return global_options.apply(config or Config(), path)

    return with_global


DOCUMENTED = """\
import getpass
from parsl.addresses import address_by_hostname

global_options = {
    'username': getpass.getuser(),
    'email': 'USER@USERDOMAIN.COM',
    'broker_address': '127.0.0.1',
    'broker_port': 8088,
    'endpoint_address': address_by_hostname(),
}
"""


def test_the_documented_global_options(with_global):
    config = with_global(DOCUMENTED)
    assert config.broker_address == "http://127.0.0.1:8088"
    assert config.executor.address
    assert list(config.meta) == ["username"]
    assert config.broker_test is False


def test_the_documented_debugging_path(with_global, caplog):
    text = (
        "global_options = {'broker_address': 'http://127.0.0.1:50005', 'broker_test': True, 'redis_host': '127.0.0.1'}"
    )
    with caplog.at_level(logging.WARNING):
        config = with_global(text)
    assert (config.broker_address, config.broker_test) == ("http://127.0.0.1:50005", True)
    assert "redis_host has no effect" in caplog.text


def test_the_file_of_an_endpoint_counts_more(with_global):
    own = Config(executors=[HighThroughputExecutor(address="10.0.0.1")], broker_address="http://a:1", broker_test=False)
    config = with_global(
        "global_options = {'broker_address': 'b', 'broker_test': True, 'endpoint_address': '10.0.0.2'}", own
    )
    assert (config.executor.address, config.broker_address, config.broker_test) == ("10.0.0.1", "http://a:1", False)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("global_options = {'broker_adress': ''}", "Did you mean 'broker_address'?"),
        ("global_options = {'broker_port': 8088}", "broker_port needs broker_address"),
        ("global_options = {'broker_port': 'x', 'broker_address': 'a'}", "broker_port is 'x'; a whole number"),
        ("x = 1", "must set `global_options = {...}`"),
        ("global_options = {'broker_test': True}", "broker_test needs broker_address"),
        ("1/0", "line 1: ZeroDivisionError"),
        ("global_options = {'broker_test': 'yes', 'broker_address': 'a'}", "broker_test is 'yes'; true or false"),
    ],
)
def test_wrong_global_options_are_told_with_their_file(with_global, text, said, tmp_path):
    with pytest.raises(ConfigError) as caught:
        with_global(text)
    assert str(tmp_path / "config.py") in str(caught.value)
    assert said in str(caught.value)


def test_the_template_changes_nothing(with_global):
    assert with_global(global_options.TEMPLATE) == Config()


def test_the_environment_counts_more_than_the_file_and_that_more_than_the_global_options(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.py").write_text(
        "global_options = {'broker_address': 'a:1', 'funcx_service_address': 'http://a:1'}"
    )
    (tmp_path / "theta").mkdir()
    (tmp_path / "theta" / "config.yaml").write_text("broker_address: http://b:1\ndescription: b")
    monkeypatch.setenv("FUNCX_ENDPOINT__DESCRIPTION", "c")
    config = load_config(tmp_path / "theta")
    assert (config.funcx_service_address, config.broker_address) == ("http://a:1", "http://b:1")
    assert config.description == "c"
