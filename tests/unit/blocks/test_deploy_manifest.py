"""The manifest for an endpoint inside a cluster fits the program; no cluster has tried it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
import yaml

from funcx_core.errors import ConfigError
from funcx_endpoint.config_file import read_config
from funcx_endpoint.providers.kubernetes import kube

ROOT = Path(__file__).parents[3]
VERBS = {
    "create": ("pods", "create"),
    "list": ("pods", "list"),
    "delete": ("pods", "delete"),
    "read": ("pods/log", "get"),
}


@pytest.fixture(scope="module")
def objects():
    documents = yaml.safe_load_all((ROOT / "deploy" / "kubernetes.yaml").read_text())
    return {one["kind"]: one for one in documents}


def test_the_role_allows_what_the_provider_asks_for_and_nothing_else(objects):
    allowed = {
        (resource, verb)
        for rule in objects["Role"]["rules"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    source = ast.parse(Path(kube.__file__).read_text())
    calls = {
        node.args[0].value
        for node in ast.walk(source)
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "_call"
    }
    assert {VERBS[call.partition("_")[0]] for call in calls} == allowed
    assert len(calls) == 4


def test_its_configuration_is_read_as_soon_as_it_is_filled_in(objects, tmp_path, monkeypatch):
    monkeypatch.setenv("POD_IP", "10.0.0.1")
    monkeypatch.setenv("POD_NAMESPACE", "lab")
    text = objects["ConfigMap"]["data"]["config.py"]
    (tmp_path / "config.py").write_text(text)
    with pytest.raises(ConfigError, match="YOUR_IMAGE is to be filled in"):
        read_config(tmp_path / "config.py")
    (tmp_path / "config.py").write_text(text.replace("YOUR_IMAGE", "lab:1"))
    config = read_config(tmp_path / "config.py")
    assert config.detach_endpoint is False
    assert config.executor.provider.namespace == "lab"


def test_agent_and_workers_see_one_folder_at_one_path(objects):
    pod = objects["Deployment"]["spec"]["template"]["spec"]
    (agent,) = pod["containers"]
    mounts = {mount["name"]: mount["mountPath"] for mount in agent["volumeMounts"]}
    claims = {one["name"]: one.get("persistentVolumeClaim", {}).get("claimName") for one in pod["volumes"]}
    assert {(claims["home"], mounts["home"])} == {("funcx-endpoint", "/home/funcx")}
    assert '("funcx-endpoint", "/home/funcx")' in objects["ConfigMap"]["data"]["config.py"]
    home = next(one["value"] for one in agent["env"] if one["name"] == "FUNCX_HOME")
    assert home.startswith(mounts["home"])
    assert objects["PersistentVolumeClaim"]["metadata"]["name"] == claims["home"]
    assert pod["serviceAccountName"] == objects["RoleBinding"]["subjects"][0]["name"]
