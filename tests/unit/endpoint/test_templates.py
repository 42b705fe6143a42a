"""Every ready configuration is constructed: the names and types of its settings are those of the installed Parsl."""

from __future__ import annotations

import re

import pytest

from funcx_core.errors import ConfigError
from funcx_endpoint import lifecycle, templates
from funcx_endpoint.config_file import load_config
from funcx_endpoint.folder import EndpointFolder

pytest.importorskip("parsl.providers")
PROVIDERS = {
    "laptop": "LocalProvider",
    "gpu": "LocalProvider",
    "slurm": "SlurmProvider",
    "mpi": "SlurmProvider",
    "pbs": "PBSProProvider",
    "kubernetes": "KubernetesProvider",
    "anvil": "SlurmProvider",
    "bluewaters": "TorqueProvider",
    "cori": "SlurmProvider",
    "expanse": "SlurmProvider",
    "frontera": "SlurmProvider",
    "midway": "SlurmProvider",
    "perlmutter": "SlurmProvider",
    "polaris": "PBSProProvider",
    "summit": "LSFProvider",
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("parsl.addresses.address_by_interface", lambda _: "10.0.0.1")
    return EndpointFolder(tmp_path / "theta")


def test_every_template_is_in_the_table():
    assert templates.names() == list(PROVIDERS)


@pytest.mark.parametrize("name", PROVIDERS)
def test_a_template_is_constructed_as_soon_as_it_is_filled_in(name, folder):
    path = lifecycle.configure(folder, template=name)
    filled = re.sub(r"YOUR_[A-Z]+", "mine", path.read_text())
    if filled != path.read_text():
        with pytest.raises(ConfigError, match=r"line \d+: YOUR_[A-Z]+ is to be filled in"):
            load_config(folder.path)
    path.write_text(filled)
    executor = load_config(folder.path).executor
    assert type(executor.provider).__name__ == PROVIDERS[name]
    assert executor.workers_per_node() >= 1


@pytest.mark.parametrize(("name", "number"), [("gpu", 1), ("polaris", 4)])
def test_machines_with_gpus_have_a_worker_for_each(folder, name, number):
    path = lifecycle.configure(folder, template=name)
    path.write_text(re.sub(r"YOUR_[A-Z]+", "mine", path.read_text()))
    assert load_config(folder.path).executor.workers(64, 512) == number


def test_a_summary_names_the_machine():
    assert templates.summary("frontera") == "Frontera, Texas Advanced Computing Center."


@pytest.mark.parametrize(
    ("name", "said"),
    [("slrum", "Did you mean 'slurm'?"), ("theta", "successor is 'polaris'"), ("zzz", "There are: laptop, gpu")],
)
def test_an_unknown_template_is_one_clear_line(name, said, folder):
    with pytest.raises(ConfigError) as caught:
        lifecycle.configure(folder, template=name)
    assert said in str(caught.value)
    assert not folder.path.exists()
