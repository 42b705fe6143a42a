"""`funcx jupyter enable`: a startup file of IPython."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from funcx_core.fabric.autoload import startup
from funcx_core.fabric.cli import main


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    return lambda *words: CliRunner().invoke(main, ["jupyter", *words], catch_exceptions=False)


def test_the_file_comes_and_goes(run, tmp_path):
    path = tmp_path / "ipython" / "profile_default" / "startup" / startup.FILE
    done = run("enable")
    assert (done.exit_code, done.output.split(".py. ")[0]) == (0, f"Wrote {path}".removesuffix(".py"))
    compile(path.read_text(), str(path), "exec")
    assert run("disable").output == f"Removed {path}.\n"
    assert not path.exists()
    assert run("disable").output == f"There was nothing to remove: no {path}.\n"


def test_another_profile(run, tmp_path):
    run("enable", "--profile", "lab")
    assert (tmp_path / "ipython" / "profile_lab" / "startup" / startup.FILE).exists()


def test_a_folder_that_cannot_be(run, tmp_path):
    (tmp_path / "ipython").touch()
    done = run("enable")
    assert done.exit_code == 1
    assert len(done.output.splitlines()) == 1


def test_the_file_leaves_no_name_behind():
    loaded = []
    namespace = {"get_ipython": lambda: "shell", "__builtins__": __builtins__}
    code = startup._CONTENT.replace(
        "from funcx_jupyter.extension import load_quietly as", "from loading import load as"
    )
    import sys
    import types

    module = types.ModuleType("loading")
    module.load = loaded.append
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "loading", module)
        exec(code, namespace)
    assert loaded == ["shell"]
    assert "_load_funcx" not in namespace
