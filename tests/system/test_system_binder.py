"""What a Binder image starts: a service and an endpoint, without a login, and then the command it was given."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.fabric import Fabric

BINDER = Path(__file__).parents[2] / "binder"


@pytest.mark.xdist_group("own-fabric")
def test_start_brings_up_a_fabric_and_becomes_the_command(tmp_path):
    fabric = Fabric(tmp_path / "home")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    source = "import sys\nfrom funcx_jupyter import cell\nprint(cell('6 * 7', 'local'))\nsys.exit(len(sys.argv))"
    try:
        done = subprocess.run(
            [str(BINDER / "start"), sys.executable, "-c", source, "two words", "*"],
            env=fabric.environment(PATH=path),
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert (done.returncode, done.stdout) == (3, "42\n"), done.stderr
        fabric.cli("down")
        fabric.assert_clean()
    finally:
        fabric.kill_all()


def test_start_opens_the_notebooks_even_if_there_is_no_fabric(tmp_path):
    (tmp_path / "funcx").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "funcx").chmod(0o755)
    path = os.pathsep.join([str(tmp_path), os.environ["PATH"]])
    done = subprocess.run(
        [str(BINDER / "start"), "echo", "opened"], env={"PATH": path}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "opened\n")
    assert "funcx doctor" in done.stderr


def test_the_image_is_made_of_what_is_there():
    script = (BINDER / "postBuild").read_text()
    assert subprocess.run(["bash", "-n", str(BINDER / "postBuild")], check=False).returncode == 0
    named = {"requirements/dev.txt", "binder/default_setting_overrides.json"}
    assert all(name in script and (BINDER.parent / name).is_file() for name in named)
    assert all(os.access(BINDER / name, os.X_OK) for name in ("postBuild", "start"))
    assert (BINDER / "runtime.txt").read_text().startswith("python-3.")
