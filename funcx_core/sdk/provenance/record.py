"""What is known about how a result came to be. What is not known is said, too. Pure."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from funcx_core.protocol.environment import Environment

FORMAT: Final = "funcx-provenance/1"


class Code(msgspec.Struct, frozen=True, kw_only=True):
    """What ran.

    Attributes:
        kind: ``function`` or ``cell``.
        name: of the function, or the first telling line of the cell.
        source: as its author wrote it; empty if it is not known.
        sha256: of the source.
        function_id: of the registered function; that of cells is the same for all of them.
        content_hash: of the function as it travels, as the service has it.
    """

    kind: str
    name: str = ""
    source: str = ""
    sha256: str = ""
    function_id: str = ""
    content_hash: str = ""


class Piece(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An input or a result. `sha256` and `size` are of its pickle as it travelled; values are not kept."""

    name: str
    sha256: str = ""
    size: int = 0


class Where(msgspec.Struct, frozen=True, kw_only=True):
    """Where it ran.

    Attributes:
        endpoint_id, endpoint: the endpoint and its name.
        version: of the endpoint's software.
        hostname: of the node; empty if it is not known.
        python_version, platform: there; empty if they are not known.
        processor, accelerators: of the node; empty if they are not known.
        container: the registered container that the function asks for; empty for none.
        image: what names the image of the container that it ran in, and no other: ``sha256:…``; empty if it is not known.
        packages: versions of the packages that the code used, by the name they are imported as.
        environments: the kinds of nodes that the endpoint has reported; the task ran on one of them.
    """

    endpoint_id: str
    endpoint: str = ""
    version: str = ""
    hostname: str = ""
    python_version: str = ""
    platform: str = ""
    processor: str = ""
    accelerators: str = ""
    container: str = ""
    image: str = ""
    packages: dict[str, str] = {}
    environments: list[Environment] = []


class Times(msgspec.Struct, frozen=True, kw_only=True):
    """When the attempt that counts passed each hop: UTC, by the clock of that hop; None where it never came."""

    received: str | None = None
    interchange: str | None = None
    manager: str | None = None
    started: str | None = None
    ended: str | None = None
    completed: str | None = None


class Author(msgspec.Struct, frozen=True, kw_only=True):
    """Who has this result, and with what.

    Attributes:
        user: as the service names the owner of the function, else the account on this machine.
        hostname: this machine.
        software: versions of what was used here.
        service: address of the service.
        folder: the folder of the notebook or script.
        commit: the git commit checked out there; empty where there is none.
        is_modified: whether files differ from that commit; None where there is none.
        remote: where that repository comes from, without names and passwords in it.
    """

    user: str
    hostname: str
    software: dict[str, str]
    service: str = ""
    folder: str = ""
    commit: str = ""
    is_modified: bool | None = None
    remote: str = ""


class Provenance(msgspec.Struct, frozen=True, kw_only=True):
    """How a result came to be.

    >>> funcx.provenance(future).save("result.provenance.json")
    >>> funcx.provenance(future).to_ro_crate("crate")

    Attributes:
        task_id, group_id: the task.
        state: how it ended, or where it is.
        attempt: which attempt counts.
        code, inputs, results, where, times, author: see there. `inputs` is None if they are not known.
        inputs_sha256: of all inputs of a cell together, as it was sent.
        seed: what the cell set as it is written, such as ``random.seed(4)``.
        commit: the git commit of the notebook's folder when the cell was sent, and whether files differed from it.
        error: why it has no value: ``code``, ``type_name``, ``message``.
        unknown: what could not be found out, and why, in sentences.
        format: of this record.
    """

    task_id: str
    group_id: str
    state: str
    attempt: int
    code: Code
    inputs: list[Piece] | None
    results: list[Piece]
    where: Where
    times: Times
    author: Author
    inputs_sha256: str = ""
    seed: str = ""
    commit: str = ""
    error: dict[str, str] | None = None
    unknown: list[str] = []
    recorded: str = ""
    format: str = FORMAT

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        found: dict[str, Any] = msgspec.to_builtins(self)
        return found

    def to_json(self) -> str:
        """Return it as JSON for people and programs."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2).decode()

    def save(self, path: str | Path) -> Path:
        """Write the JSON to a file and return its path."""
        target = Path(path)
        target.write_text(self.to_json() + "\n")
        return target

    def to_ro_crate(self, folder: str | Path, *, license: str | None = None) -> Path:  # noqa: A002 - as crates call it
        """Write a Research Object Crate (RO-Crate 1.1) into a folder, which is made; return the path of its metadata.

        Args:
            folder: where to. Files of an earlier crate of ours there are replaced.
            license: URL of the licence under which you give the code away; without it the crate says that none was chosen.
        """
        from funcx_core.sdk.provenance.crate import write_crate  # noqa: PLC0415 - for those who want crates

        return write_crate(self, Path(folder), license)

    def __repr__(self) -> str:
        from funcx_core.sdk.provenance.text import as_text  # noqa: PLC0415 - it needs this module

        return as_text(self)


def sha256(content: bytes | str) -> str:
    """Return the hash in hexadecimal digits."""
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()


def moment(nanoseconds: int) -> str | None:
    """Return a time as ISO 8601 in UTC; None for 0."""
    return datetime.fromtimestamp(nanoseconds / 1e9, UTC).isoformat() if nanoseconds else None
