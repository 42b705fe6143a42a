"""The one seam to providers of blocks, which are Parsl's or look like Parsl's. Its calls run other programs: use a thread.

Providers are believed little. What Slurm has forgotten, Parsl reports as pending for ever; so while a job has not shown any
life, Slurm is asked itself, too, whether it has the job.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import shlex
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from funcx_core.home import private_dir
from funcx_endpoint.blocks.records import ProviderState
from funcx_endpoint.manager.node.block_time import STARTED_VARIABLE

TAIL_BYTES: Final = 2000
_NOTE_START: Final = f"export {STARTED_VARIABLE}=$(date +%s)\n"
_QUEUED: Final = {"PENDING": ProviderState.QUEUED, "HELD": ProviderState.QUEUED, "RUNNING": ProviderState.RUNNING}
_WALLTIME: Final = re.compile(r"(?:(\d+)-(?=\d)|(?=\d+:))(\d+)(?::(\d+))?(?::(\d+))?")

_log = logging.getLogger(__name__)


class JobReport(msgspec.Struct, frozen=True):
    """What is known of one job. `words` are for people; `tail` is the end of what it printed on stderr, if it has ended."""

    state: ProviderState
    words: str = ""
    tail: str = ""


class BlockProvider:
    """Asks a provider for blocks, and judges what it says of them."""

    def __init__(self, provider: Any) -> None:
        self._provider = provider

    def open(self, folder: Path) -> None:
        """Prepare the folder in which the provider keeps scripts and what blocks print."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        provider = self._provider
        provider.script_dir = str(_unquoted(folder) if self.is_local else folder)
        init = getattr(provider, "worker_init", None)
        if self.walltime is not None and isinstance(init, str) and not init.startswith(_NOTE_START):
            provider.worker_init = _NOTE_START + init

    @property
    def is_local(self) -> bool:
        """Whether blocks are processes of this machine and start at once."""
        return is_local(self._provider)

    @property
    def walltime(self) -> float | None:
        """Seconds that a block may run; None if the provider knows no such limit."""
        return seconds_of(getattr(self._provider, "walltime", None))

    @property
    def longest_pause(self) -> float:
        """Seconds between two questions about a job, at most."""
        return 1.0 if self.is_local else float(getattr(self._provider, "status_polling_interval", 60))

    @property
    def has_kinds(self) -> bool:
        """Whether a block can be made of an image of its own."""
        return bool(getattr(self._provider, "has_kinds", False))

    def submit(self, command: str, name: str, image: str = "") -> str | None:
        """Ask for a block, of an image of its own if one is named; return the provider's name for it, or None if there is no room."""
        own = {"task_type": image} if image else {}
        job = self._provider.submit(command, 1, job_name=name, **own)
        return None if job is None else str(job)

    def cancel(self, job: str) -> None:
        """Ask for the end of a block."""
        self._provider.cancel([job])

    def status(self, jobs: Sequence[str]) -> list[JobReport]:
        """Return how these jobs are, in their order."""
        found = [self._report(status) for status in self._provider.status(list(jobs))]
        if getattr(self._provider, "label", "") == "slurm" and any(
            one.state is not ProviderState.ENDED for one in found
        ):
            known = self._jobs_of_slurm()
            found = [
                one if known is None or job in known else self._forgotten(job, one)
                for job, one in zip(jobs, found, strict=True)
            ]
        return found

    def _report(self, status: Any) -> JobReport:
        name = str(getattr(getattr(status, "state", None), "name", "unknown"))
        if not getattr(status, "terminal", False):
            return JobReport(_QUEUED.get(name, ProviderState.UNKNOWN), _words(name, status))
        return JobReport(ProviderState.ENDED, _words(name, status), _tail(getattr(status, "stderr_path", None)))

    def _jobs_of_slurm(self) -> set[str] | None:
        """Return the user's jobs that Slurm has; None if it does not say."""
        provider = self._provider
        clusters = f" --clusters={provider.clusters}" if getattr(provider, "clusters", None) else ""
        code, said, _ = provider.execute_wait(f"squeue{clusters} --me --noheader --format=%A")
        return set(said.split()) if code == 0 else None

    def _forgotten(self, job: str, found: JobReport) -> JobReport:
        if found.state is ProviderState.ENDED:
            return found
        path = self._provider.resources.get(job, {}).get("job_stderr_path")
        return JobReport(ProviderState.ENDED, "Slurm does not have the job any more", _tail(path))


def _unquoted(folder: Path) -> Path:
    """Return a path to `folder` that a shell takes without quotes, because Parsl's LocalProvider puts none around it."""
    if shlex.quote(str(folder)) == str(folder):
        return folder
    links = private_dir(Path(tempfile.gettempdir()) / f"funcx-{os.geteuid()}")
    for known in links.iterdir():
        if not known.exists():
            known.unlink(missing_ok=True)
    link = links / hashlib.sha256(str(folder).encode()).hexdigest()[:24]
    if not link.is_symlink():
        link.symlink_to(folder)
    return link


def refusal(error: Exception) -> str:
    """Return in one line why a provider took no block: what its program said, where it is known."""
    return " ".join(str(getattr(error, "stderr", None) or error).split())


def is_local(provider: Any) -> bool:
    """Whether the blocks of a provider are processes of this machine."""
    return getattr(provider, "label", "") == "local"


def seconds_of(walltime: Any) -> float | None:
    """Return a provider's walltime in seconds; None for none.

    It is ``HH:MM:SS``, ``HH:MM`` as LSF has it, or one of Slurm's with days: ``D-HH``, ``D-HH:MM``, ``D-HH:MM:SS``.
    """
    if not isinstance(walltime, str):
        return None
    found = _WALLTIME.fullmatch(walltime)
    if found is None:
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return float(86400 * days + 3600 * hours + 60 * minutes + seconds)


def _words(name: str, status: Any) -> str:
    code, message = getattr(status, "exit_code", None), getattr(status, "message", None)
    words = f"{name.lower()}, exit code {code}" if code is not None else name.lower()
    return f"{words}: {message}" if message else words


def _tail(path: str | None) -> str:
    if not path:
        return ""
    try:
        content = Path(path).read_bytes()[-TAIL_BYTES:]
    except OSError:
        return ""
    return content.decode(errors="replace").strip()
