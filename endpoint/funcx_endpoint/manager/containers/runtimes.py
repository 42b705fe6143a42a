"""How each container runtime is told to start a worker. Pure: what to start in, and the command line out.

Nothing of it goes through a shell. All runtimes start the same program, which reaches its manager by a socket in a folder that is
bound into the container (see `funcx_endpoint.worker.handover`); so what the image must hold is Python and this package.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

SOCKET: Final = "manager"
"""Name of the socket in the channel's folder."""
_SAME: Final = ({"docker", "podman"}, {"singularity", "apptainer"})
_REMOTE_IMAGE: Final = "docker://"


class Launch(msgspec.Struct, frozen=True, kw_only=True):
    """One worker that is to be started.

    Attributes:
        name: of the container, where the runtime names them.
        image: where the runtime finds what to run in.
        channel: folder with the socket.
        folders: what tasks need of this node.
        working_dir: where they run, in or below one of the folders.
        variables: what the worker must find in its environment, for runtimes that pass on none.
        user: ids of the user and the group that tasks run as.
        options: what the endpoint's owner adds to the command line.
    """

    name: str
    image: str
    channel: str
    folders: list[str]
    working_dir: str
    variables: dict[str, str] = {}
    user: tuple[int, int] = (0, 0)
    options: list[str] = []

    def inside(self, kind: str) -> dict[str, str]:
        """Return where the container has each of the folders."""
        if kind != "charliecloud":
            return {folder: folder for folder in self.folders}
        # It can bind to existing places only, as its images are read-only; the channel is in /tmp, which it shares with the host.
        return {folder: f"{self.channel}/{number}" for number, folder in enumerate(self.folders)}


def check_kind(kind: str) -> str:
    """Return the name of a runtime in lower case.

    Raises:
        ValueError: there is none of this name.
    """
    known = kind.lower()
    if known not in _COMMANDS:
        raise ValueError(f"container_type is '{kind}'; one of {', '.join(KINDS)} is needed.")
    return known


def split_options(options: str) -> list[str]:
    """Return the words of `container_cmd_options`, as a shell would split them.

    Raises:
        ValueError: a quote is not closed.
    """
    try:
        return shlex.split(options)
    except ValueError as error:
        raise ValueError(f"container_cmd_options cannot be read: {error}.") from None


def runs(kind: str, registered: str) -> bool:
    """Whether a runtime of this kind runs containers that were registered as `registered`."""
    return kind == registered or any(kind in family and registered in family for family in _SAME)


def command(kind: str, launch: Launch) -> list[str]:
    """Return the command line that starts a worker."""
    return _COMMANDS[kind](kind, launch)


def kill_command(kind: str, name: str) -> list[str] | None:
    """Return the command line that ends a container whose processes are not below its client; None where they are."""
    return [kind, "kill", name] if has_own_processes(kind) else None


def inspect_command(kind: str, image: str) -> list[str] | None:
    """Return the command line that tells which image a name stands for on this node; None where there is none."""
    if kind not in {"docker", "podman"} or image.startswith("/"):
        return None
    return [kind, "image", "inspect", "--format", "{{.Id}} {{json .RepoDigests}}", image.removeprefix(_REMOTE_IMAGE)]


def identity_in(said: str) -> str:
    """Return what names an image and no other, from what `inspect_command` said: ``name@sha256:…``, by which others can have it, too.

    An image that was never in a registry has its id, ``sha256:…``.
    """
    image, _, digests = said.strip().partition(" ")
    try:
        known = json.loads(digests)
    except ValueError:
        known = None
    elsewhere = [str(one) for one in known or () if not str(one).startswith("localhost/")]
    if elsewhere:
        return elsewhere[0]
    return image if not image or image.startswith("sha256:") else f"sha256:{image}"


def has_image_files(kind: str) -> bool:
    """Whether its images are files that have an id of their own."""
    return kind in {"singularity", "apptainer"}


def has_own_processes(kind: str) -> bool:
    """Whether a container has process ids of its own, and so takes all its processes with it when its worker ends."""
    return kind in {"docker", "podman"}


def host_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment for runtimes that pass it on, without what only fits the Python outside of the container."""
    return {name: value for name, value in environment.items() if name not in _OF_PYTHON}


_OF_PYTHON: Final = frozenset({"PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV", "CONDA_PREFIX", "CONDA_DEFAULT_ENV"})


def _program(channel: str) -> list[str]:
    # -P: the folder in which tasks run must not shadow modules.
    return ["python3", "-P", "-m", "funcx_endpoint.worker", f"{channel}/{SOCKET}"]


def _docker(kind: str, launch: Launch) -> list[str]:
    user, group = launch.user
    line = [kind, "run", "--rm", "--name", launch.name, "--user", f"{user}:{group}"]
    if kind == "podman" and user:
        line.append("--userns=keep-id")
    for folder in (launch.channel, *launch.folders):
        line += ["--mount", f"type=bind,source={folder},target={folder}"]
    line += ["--workdir", launch.working_dir]
    for name, value in launch.variables.items():
        line += ["--env", f"{name}={value}"]
    line += launch.options
    if kind == "podman" and launch.image.startswith("/"):
        line.append("--rootfs")
    return [*line, launch.image.removeprefix(_REMOTE_IMAGE), *_program(launch.channel)]


def _singularity(kind: str, launch: Launch) -> list[str]:
    line = [kind, "exec"]
    for folder in (launch.channel, *launch.folders):
        line += ["--bind", folder]
    return [*line, "--pwd", launch.working_dir, *launch.options, launch.image, *_program(launch.channel)]


def _shifter(_: str, launch: Launch) -> list[str]:
    image = launch.image
    if image.startswith(_REMOTE_IMAGE):
        image = f"docker:{image.removeprefix(_REMOTE_IMAGE)}"
    volumes = [f"--volume={folder}:{folder}" for folder in (launch.channel, *launch.folders)]
    line = ["shifter", f"--image={image}", *volumes, f"--workdir={launch.working_dir}", *launch.options]
    return [*line, "--", *_program(launch.channel)]


def _charliecloud(kind: str, launch: Launch) -> list[str]:
    binds = [f"--bind={folder}:{place}" for folder, place in launch.inside(kind).items()]
    line = ["ch-run", *binds, *launch.options, launch.image.removeprefix(_REMOTE_IMAGE)]
    return [*line, "--", *_program(launch.channel)]


_COMMANDS: Final[dict[str, Callable[[str, Launch], list[str]]]] = {
    "docker": _docker,
    "podman": _docker,
    "singularity": _singularity,
    "apptainer": _singularity,
    "shifter": _shifter,
    "charliecloud": _charliecloud,
}
KINDS: Final = tuple(_COMMANDS)
