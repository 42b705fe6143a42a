"""Root trees and runtimes for tests of containers."""

from __future__ import annotations

import getpass
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]


def needs(program: str) -> pytest.MarkDecorator:
    """Skip a test where a program is not installed; scripts/install-servers does that."""
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not installed")


def _of_this_python() -> list[Path]:
    """Return the folders that this Python consists of, with its environment and this checkout."""
    folders = {Path("/usr"), CHECKOUT, Path(sys.prefix), Path(sys.base_prefix).resolve()}
    return sorted(one for one in folders if not any(one.is_relative_to(other) for other in folders - {one}))


def a_root_tree(folder: Path, *, python: bool = True) -> Path:
    """Make a root tree that is empty but for what it takes to be one, and a file that only it has."""
    for name in ("dev", "proc", "sys", "tmp", "etc", "usr", "home", "var", "run", "mnt", "bin"):
        (folder / name).mkdir(parents=True)
    for name in ("lib", "lib64", "sbin"):
        (folder / name).symlink_to(f"usr/{name}")
    for name in ("passwd", "group", "hosts", "resolv.conf"):
        (folder / "etc" / name).touch()
    (folder / "etc" / "inside").write_text("the small root tree\n")
    for place in _of_this_python():
        (folder / place.relative_to("/")).mkdir(parents=True, exist_ok=True)
    if python:
        program = folder / "bin" / "python3"
        # Not a link: Python finds its environment by the folder in which its program seems to be.
        program.write_text(f'#!/usr/bin/sh\nexec {sys.executable} "$@"\n')
        program.chmod(0o755)
    return folder


def binds_of_this_python() -> list[str]:
    """Return what to tell ch-run so that this Python is in a root tree."""
    binds = [f"--bind={place}:{place}" for place in _of_this_python()]
    return [*binds, "--set-env=PATH=/bin", f"--set-env=USER={getpass.getuser()}"]


def mounts_of_this_python() -> list[str]:
    """Return what to tell podman so that this Python is in a root tree."""
    mounts = [f"--mount=type=bind,source={place},target={place},readonly" for place in _of_this_python()]
    return [*mounts, "--env=PATH=/bin", "--network=none"]


def podman_conf(folder: Path) -> Path:
    """Write what lets podman run where its usual runtime and limits cannot be had; for `CONTAINERS_CONF`."""
    runtime = next((name for name in ("runc", "crun") if shutil.which(name)), "crun")
    conf = folder / "containers.conf"
    limits = '["nofile=1024:1024", "nproc=1000:1000"]'
    conf.write_text(f'[engine]\nruntime = "{runtime}"\n[containers]\ndefault_ulimits = {limits}\n')
    return conf


def podman_refuses(tree: Path) -> str:
    """Return why podman runs nothing on this machine; empty if it does."""
    line = ["podman", "run", "--rm", *mounts_of_this_python(), "--rootfs", str(tree), "/usr/bin/true"]
    done = subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)
    return done.stderr.strip() if done.returncode else ""


_DOCKER = """#!{python}
import os, pathlib, signal, subprocess, sys
here, words = pathlib.Path(__file__).parent, sys.argv[1:]
if words[0] == "kill":
    known = here / words[1]
    os.kill(int(known.read_text()), signal.SIGKILL)
    known.rename(f"{{known}}.killed")
    sys.exit()
if words[:2] == ["image", "inspect"]:
    print("sha256:c0ffee", '["registry.test/the-image@sha256:f00d"]')
    sys.exit()
pairs = list(zip(words, words[1:]))
environment = dict(word.split("=", 1) for option, word in pairs if option == "--env")
name, folder = (next(word for option, word in pairs if option == wanted) for wanted in ("--name", "--workdir"))
program = [sys.executable, *words[words.index("the-image") + 2 :]]
if "STAND_IN_HANGS" in os.environ:
    program = ["sleep", "1000"]
line = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", *program]
container = subprocess.Popen(line, env={{**environment, "PATH": os.environ["PATH"]}}, cwd=folder, start_new_session=True)
(here / "pid").write_text(str(container.pid))
(here / "pid").rename(here / name)
code = container.wait()
(here / name).unlink(missing_ok=True)
sys.exit(code if code >= 0 else 128 - code)
"""


def a_docker(folder: Path) -> Path:
    """Make a stand-in for docker: real process id namespaces, whose processes do not end with the client."""
    folder.mkdir()
    program = folder / "docker"
    program.write_text(_DOCKER.format(python=sys.executable))
    program.chmod(0o755)
    return folder
