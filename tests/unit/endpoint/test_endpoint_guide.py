"""What the guide shows can be used as it stands."""

from __future__ import annotations

import re
from pathlib import Path

from funcx_endpoint import overrides
from funcx_endpoint.cli import main
from funcx_endpoint.config import Config
from funcx_endpoint.config_file import read_config
from funcx_endpoint.global_options import apply

PAGE = (Path(__file__).parents[3] / "docs" / "endpoints.md").read_text()


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_its_configurations_can_be_read(tmp_path):
    own, shared = blocks("python")
    (tmp_path / "config.py").write_text(own)
    assert read_config(tmp_path / "config.py").executor.max_workers_per_node == 2
    (yaml,) = blocks("yaml")
    (tmp_path / "config.yaml").write_text(yaml)
    config = read_config(tmp_path / "config.yaml")
    assert config.executor.provider.walltime == "01:00:00"
    assert isinstance(config, Config)
    (tmp_path / "shared.py").write_text(shared)
    shared_with = apply(read_config(tmp_path / "config.py"), tmp_path / "shared.py")
    assert shared_with.broker_address == "http://127.0.0.1:50005"
    assert shared_with.executor.address


def test_its_variables_are_settings(tmp_path):
    (text,) = [block for block in blocks("") if "FUNCX_ENDPOINT__" in block]
    (tmp_path / "config.py").write_text(blocks("python")[0])
    variables = dict(line.split("=", 1) for line in text.splitlines())
    config = overrides.apply(read_config(tmp_path / "config.py"), variables)
    assert (config.heartbeat_period, config.executor.max_workers_per_node, config.executor.provider.max_blocks) == (
        10,
        4,
        2,
    )


def test_its_table_has_every_command():
    table = PAGE.partition("## Commands")[2]
    assert [name for name in main.commands if f"`{name}" not in table and name != "version"] == []
