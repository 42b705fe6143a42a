"""A record of provenance as a Research Object Crate (RO-Crate 1.1): a folder with JSON-LD metadata that archives understand.

The task is a `CreateAction`; its instruments are the code and the software that ran it, its objects the inputs, its results what came out.
Inputs and results that are not kept are named with their hashes, so that whoever has the values can tell that they are the ones.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from funcx_core.sdk.provenance.record import Piece, Provenance

METADATA: Final = "ro-crate-metadata.json"
RECORD: Final = "provenance.json"
PACKAGES: Final = "packages.txt"
_CONTEXT: Final = ["https://w3id.org/ro/crate/1.1/context", {"sha256": "https://schema.org/sha256"}]
_STATUS: Final = {"success": "CompletedActionStatus", "failed": "FailedActionStatus", "cancelled": "FailedActionStatus"}
_NO_LICENSE: Final = "No licence was chosen: ask the author before you use the code elsewhere."

Entity = dict[str, Any]


def write_crate(record: Provenance, folder: Path, licence: str | None) -> Path:
    """Write the crate and return the path of its metadata."""
    folder.mkdir(parents=True, exist_ok=True)
    files = crate_files(record)
    for name, content in files.items():
        (folder / name).write_text(content)
    metadata = folder / METADATA
    graph = crate_graph(record, files, licence)
    metadata.write_text(json.dumps({"@context": _CONTEXT, "@graph": graph}, indent=2, ensure_ascii=False) + "\n")
    return metadata


def crate_files(record: Provenance) -> dict[str, str]:
    """Return the files of the crate beside its metadata."""
    files = {RECORD: record.to_json() + "\n"}
    if record.code.source:
        files[_code_file(record)] = record.code.source
    installed = sorted(
        {f"{name}=={version}" for one in record.where.environments for name, version in one.packages.items()}
    )
    if installed:
        files[PACKAGES] = "".join(f"{line}\n" for line in installed)
    return files


def crate_graph(record: Provenance, files: dict[str, str], licence: str | None) -> list[Entity]:
    """Return the entities of the crate."""
    action = _action(record)
    return [
        {
            "@id": METADATA,
            "@type": "CreativeWork",
            "conformsTo": {"@id": "https://w3id.org/ro/crate/1.1"},
            "about": {"@id": "./"},
        },
        {
            "@id": "./",
            "@type": "Dataset",
            "name": f"How task {record.task_id} came to its result",
            "description": f"Code, inputs, environment, place and time of a {record.code.kind} that funcX ran on {record.where.endpoint or record.where.endpoint_id}.",
            "datePublished": record.recorded,
            "license": {"@id": licence} if licence else _NO_LICENSE,
            "author": {"@id": "#author"},
            "hasPart": [{"@id": name} for name in files],
            "mentions": [{"@id": action["@id"]}],
        },
        action,
        *_code(record),
        *_software(record),
        *_files(record, files),
        *[_piece("input", piece) for piece in record.inputs or []],
        *[_piece("result", piece) for piece in record.results],
        _without_empty({"@id": "#author", "@type": "Person", "name": record.author.user or "unknown"}),
        *([{"@id": licence, "@type": "CreativeWork", "name": licence}] if licence else []),
    ]


def _action(record: Provenance) -> Entity:
    error = record.error or {}
    return _without_empty(
        {
            "@id": f"#task-{record.task_id}",
            "@type": "CreateAction",
            "name": f"{record.code.name or record.code.kind} on {record.where.endpoint or record.where.endpoint_id}",
            "identifier": f"urn:uuid:{record.task_id}",
            "startTime": record.times.started,
            "endTime": record.times.ended,
            "actionStatus": {"@id": f"http://schema.org/{_STATUS.get(record.state, 'ActiveActionStatus')}"},
            "error": " ".join(filter(None, (error.get("type_name"), error.get("message")))),
            "agent": {"@id": "#author"},
            "instrument": [{"@id": _code_id(record)}, {"@id": "#endpoint"}, {"@id": "#funcx"}],
            "object": [{"@id": _piece_id("input", piece)} for piece in record.inputs or []],
            "result": [{"@id": _piece_id("result", piece)} for piece in record.results],
            "description": "Not known: " + " ".join(record.unknown) if record.unknown else "",
        }
    )


def _code(record: Provenance) -> list[Entity]:
    code, author = record.code, record.author
    kind: Any = ["File", "SoftwareSourceCode"] if code.source else "SoftwareApplication"
    return [
        _without_empty(
            {
                "@id": _code_id(record),
                "@type": kind,
                "name": code.name or code.kind,
                "encodingFormat": "text/x-python" if code.source else "",
                "contentSize": str(len(code.source.encode())) if code.source else "",
                "sha256": code.sha256,
                "identifier": code.content_hash or (f"urn:uuid:{code.function_id}" if code.function_id else ""),
                "programmingLanguage": {"@id": "#python"} if code.source else "",
                "version": f"{author.commit}{' with changes' if author.is_modified else ''}" if author.commit else "",
                "codeRepository": author.remote if code.source else "",
            }
        ),
        _without_empty(
            {
                "@id": "#python",
                "@type": "ComputerLanguage",
                "name": "Python",
                "version": record.where.python_version,
                "url": {"@id": "https://www.python.org/"},
            }
        ),
        {"@id": "https://www.python.org/", "@type": "WebPage", "name": "Python"},
    ]


def _software(record: Provenance) -> list[Entity]:
    where = record.where
    used = [
        _without_empty(
            {"@id": f"#package-{name}", "@type": "SoftwareApplication", "name": name, "softwareVersion": version}
        )
        for name, version in sorted(where.packages.items())
    ]
    container = _container(record)
    endpoint = {
        "@id": "#endpoint",
        "@type": "SoftwareApplication",
        "name": f"funcX endpoint {where.endpoint or where.endpoint_id}",
        "identifier": f"urn:uuid:{where.endpoint_id}" if where.endpoint_id else "",
        "softwareVersion": where.version,
        "operatingSystem": where.platform,
        "processorRequirements": sorted({one.processor for one in where.environments if one.processor}),
        "softwareRequirements": [{"@id": one["@id"]} for one in (*container, *used)],
        "description": " ".join(
            filter(
                None,
                (
                    f"Host {where.hostname}." if where.hostname else "",
                    f"Container {where.container}." if where.container else "",
                ),
            )
        ),
    }
    own = {
        "@id": "#funcx",
        "@type": "SoftwareApplication",
        "name": "funcX workbench",
        "softwareVersion": record.author.software.get("funcx-workbench", ""),
    }
    return [_without_empty(endpoint), _without_empty(own), *container, *used]


def _container(record: Provenance) -> list[Entity]:
    where = record.where
    if not (where.container or where.image):
        return []
    image = {
        "@id": "#container",
        "@type": "SoftwareApplication",
        "name": f"Container {where.container or where.image}",
        "identifier": where.image,
        "sha256": where.image.rpartition("sha256:")[2] if "sha256:" in where.image else "",
    }
    return [_without_empty(image)]


def _files(record: Provenance, files: dict[str, str]) -> list[Entity]:
    about = {
        RECORD: ("What is known of the task", "application/json"),
        PACKAGES: ("What is installed where it ran", "text/plain"),
    }
    return [
        {
            "@id": name,
            "@type": "File",
            "name": about[name][0],
            "encodingFormat": about[name][1],
            "contentSize": str(len(content.encode())),
        }
        for name, content in files.items()
        if name != _code_id(record)
    ]


def _piece(kind: str, piece: Piece) -> Entity:
    return _without_empty(
        {
            "@id": _piece_id(kind, piece),
            "@type": "PropertyValue",
            "name": piece.name,
            "sha256": piece.sha256,
            "contentSize": str(piece.size),
            "description": f"The {kind} as it travelled: a pickle, of which hash and size are known.",
        }
    )


def _piece_id(kind: str, piece: Piece) -> str:
    return f"#{kind}-{piece.name.replace(' ', '-')}"


def _code_id(record: Provenance) -> str:
    return _code_file(record) if record.code.source else "#code"


def _code_file(record: Provenance) -> str:
    return f"{record.code.kind}.py"


def _without_empty(entity: Entity) -> Entity:
    return {name: value for name, value in entity.items() if value not in ("", None, [], {})}
