from __future__ import annotations

import sys

import pytest

from funcx_core.errors import ConfigError
from funcx_endpoint.config_file import load_config

SLURM = """\
description: the cluster in the basement
heartbeat_period: 3
engine:
  type: HighThroughputExecutor
  max_workers_per_node: 4
  provider:
    type: SlurmProvider
    partition: debug
    max_blocks: 3
    launcher:
      type: SrunLauncher
      overrides: -c 8
"""


@pytest.fixture
def read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def read(text):
        folder = tmp_path / "theta"
        folder.mkdir(exist_ok=True)
        (folder / "config.yaml").write_text(text)
        return load_config(folder)

    return read


def test_types_become_objects(read):
    config = read(SLURM)
    assert (config.description, config.heartbeat_period) == ("the cluster in the basement", 3)
    assert config.executor.max_workers_per_node == 4
    provider = config.executor.provider
    assert (type(provider).__name__, provider.partition, provider.max_blocks) == ("SlurmProvider", "debug", 3)
    assert (type(provider.launcher).__name__, provider.launcher.overrides) == ("SrunLauncher", "-c 8")


def test_the_engine_may_be_called_executor_or_be_a_list_of_one_and_is_of_the_only_type(read):
    assert read("executor: {max_workers: 3}").executor.max_workers_per_node == 3
    assert read("executors: [{type: HighThroughputExecutor, max_workers_per_node: 3}]").executor.workers(8, 1) == 3


def test_a_file_without_an_engine_has_the_usual_one(read):
    assert read("description: x").executor.provider is None


def test_the_form_of_early_versions_and_addresses(read):
    config = read("max_workers_per_node: 2\naddress: {type: address_by_hostname}\n")
    assert config.executor.max_workers_per_node == 2
    assert config.executor.address


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("heartbeet_period: 3", "line 1: Config has no setting 'heartbeet_period'. Did you mean 'heartbeat_period'?"),
        (
            "engine:\n  max_worker_per_node: 3",
            "line 2: HighThroughputExecutor has no setting 'max_worker_per_node'. Did you mean 'max_workers_per_node'?",
        ),
        (
            SLURM.replace("partition", "partitoin"),
            "line 8: SlurmProvider has no setting 'partitoin'. Did you mean 'partition'?",
        ),
        (
            SLURM.replace("SlurmProvider", "SlurmProvide"),
            "line 7: there is no provider of type 'SlurmProvide'. Did you mean 'SlurmProvider'?",
        ),
        (SLURM.replace("SrunLauncher", "SrunLaunch"), "line 11: there is no launcher of type 'SrunLaunch'"),
        (
            SLURM.replace("HighThroughputExecutor", "ThreadPoolExecutor"),
            "line 4: there is no engine of type 'ThreadPoolExecutor'. Did you mean 'HighThroughputExecutor'?",
        ),
        ("engine:\n  worker_debug: sure", "line 2: worker_debug is 'sure'; true or false is needed."),
        (
            "engine:\n  provider: {type: KubernetesProvider, image: 3}",
            "line 2: image is 3; the name of an image is needed.",
        ),
        ("engine: 3", "line 1: a mapping is needed"),
        ("a: 1\na: 2", "line 2: 'a' is there twice, first in line 1."),
        ("engine: {}\nexecutor: {}", "line 2: 'engine' and 'executor' mean the same"),
        ("a: [", "line 1: expected the node content"),
        ("- 1", "must be a mapping"),
        ("description: YOUR_PARTITION", "line 1: YOUR_PARTITION is to be filled in."),
        ("1: 2", "line 1: 1 is not the name of a setting."),
        ("engine: !!python/object/apply:os.getpid []", "could not determine a constructor"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(read, text, said):
    with pytest.raises(ConfigError) as caught:
        read(text)
    assert said in str(caught.value)
    assert "config.yaml" in str(caught.value)


def test_two_files_are_refused(read, tmp_path):
    (tmp_path / "theta").mkdir()
    (tmp_path / "theta" / "config.py").write_text("")
    with pytest.raises(ConfigError, match=r"holds both config\.py and config\.yaml"):
        read("description: x")


def test_without_pyyaml_the_message_says_what_to_install(read, monkeypatch):
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(ConfigError, match=r"config\.yaml needs PyYAML\. Run: pip install pyyaml"):
        read("description: x")


def test_a_provider_that_needs_another_package_says_which(read, monkeypatch):
    monkeypatch.setattr("parsl.providers.aws.aws._boto_enabled", False)
    missing = r"line 2: AWSProvider cannot be made: a package is missing\. Run: pip install boto3"
    with pytest.raises(ConfigError, match=missing):
        read("engine:\n  provider: {type: AWSProvider, image_id: x, key_name: y}")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    ours = r"line 2: KubernetesProvider needs a package\. Run: pip install 'funcx-workbench\[kubernetes\]'"
    with pytest.raises(ConfigError, match=ours):
        read("engine:\n  provider: {type: KubernetesProvider, image: x}")
