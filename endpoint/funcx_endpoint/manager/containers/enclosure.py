"""The container of one worker: what its runtime is told, and how it is ended whatever the runtime's client does."""

from __future__ import annotations

import logging
import os
import pwd
import shlex
import subprocess
import uuid
from pathlib import Path

import msgspec

from funcx_core.protocol.task import ContainerImage
from funcx_endpoint.manager.containers import runtimes
from funcx_endpoint.manager.containers.image_identity import identity_of
from funcx_endpoint.manager.containers.kinds import ContainerSettings
from funcx_endpoint.worker.handover import Handover

_log = logging.getLogger(__name__)


class Enclosure:
    """One container, from the preparation of its start on. `root` is the folder in which all workers' folders are."""

    def __init__(self, settings: ContainerSettings, image: ContainerImage, root: Path, large: Path) -> None:
        self._settings = settings
        self._image = image
        self._large = large
        self._root = root
        self.name = f"funcx-worker-{uuid.uuid4().hex[:12]}"
        self.handover = Handover(runtimes.SOCKET)
        self._launch = runtimes.Launch(
            name=self.name,
            image=image.location,
            channel=str(self.handover.folder),
            folders=[str(root), str(large)],
            working_dir=str(root),
            user=(os.geteuid(), os.getegid()),
            options=settings.options,
        )

    @property
    def has_own_processes(self) -> bool:
        """Whether its processes end with it."""
        return runtimes.has_own_processes(self._settings.kind)

    @property
    def image(self) -> str:
        """Where the runtime finds what it runs in."""
        return self._image.location

    def image_identity(self) -> str:
        """Return what names the image and no other; see `identity_of`. Not for the loop."""
        return identity_of(self._settings.kind, self._image.location)

    def inside(self, path: Path) -> str:
        """Return what a folder that is bound into the container, or one below it, is called there."""
        for folder, place in self._launch.inside(self._settings.kind).items():
            if path.is_relative_to(folder):
                return str(Path(place) / path.relative_to(folder))
        return str(path)

    def start(
        self, folder: Path, variables: dict[str, str], environment: dict[str, str], out: int, err: int
    ) -> subprocess.Popen[bytes]:
        """Start the runtime's client.

        Args:
            folder: where the worker's tasks run.
            variables: what its tasks must find in their environment.
            environment: of the client.
            out: stdout of the client, and of the worker until it is handed its own.
            err: stderr likewise.

        Raises:
            OSError: the runtime is not there.
        """
        self._large.mkdir(mode=0o700, parents=True, exist_ok=True)
        kind = self._settings.kind
        for place in self._launch.inside(kind).values():
            Path(place).mkdir(mode=0o700, exist_ok=True)
        variables = {**variables, "HOME": str(folder)} if self.has_own_processes else variables
        launch = msgspec.structs.replace(self._launch, working_dir=self.inside(folder), variables=variables)
        line = runtimes.command(kind, launch)
        _log.debug("starting %s", shlex.join(line))
        known = {"USER": pwd.getpwuid(os.geteuid()).pw_name, **environment, **variables}
        return subprocess.Popen(
            line,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            env=runtimes.host_environment(known),
            cwd=self._root,
            start_new_session=True,
        )

    def end(self) -> subprocess.Popen[bytes] | None:
        """Have a container ended whose processes are not ours; returns who does it."""
        line = runtimes.kill_command(self._settings.kind, self.name)
        if line is None:
            return None
        try:
            return subprocess.Popen(
                line, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
        except OSError:
            return None  # The runtime is gone: so is what it started, or nobody can say how to end it.
