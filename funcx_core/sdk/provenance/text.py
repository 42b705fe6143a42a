"""A record of provenance in words. Pure."""

from __future__ import annotations

from funcx_core.sdk.provenance.record import Piece, Provenance

_SHORT = 12


def as_text(record: Provenance) -> str:
    """Return the facts as lines, the most asked for first."""
    where, author, code = record.where, record.author, record.code
    lines = [
        ("task", f"{record.task_id} ({record.state}, attempt {record.attempt})"),
        (code.kind, " ".join(filter(None, (code.name, f"sha256 {code.sha256[:_SHORT]}…" if code.sha256 else "")))),
        ("inputs", _inputs(record)),
        ("seed", record.seed),
        ("results", _pieces(record.results)),
        ("ran on", ", ".join(filter(None, (where.endpoint or where.endpoint_id, where.hostname)))),
        ("python", " ".join(filter(None, (where.python_version, where.platform)))),
        ("processor", " · ".join(filter(None, (where.processor, where.accelerators)))),
        ("packages", ", ".join(" ".join(pair).strip() for pair in sorted(where.packages.items()))),
        ("container", " · ".join(filter(None, (where.container, where.image)))),
        ("started", record.times.started or ""),
        ("ended", record.times.ended or ""),
        ("by", " at ".join(filter(None, (author.user, author.hostname)))),
        ("commit", record.commit or _commit_now(record)),
        ("error", " ".join(filter(None, ((record.error or {}).get("type_name"), (record.error or {}).get("message"))))),
    ]
    known = [f"{name:<10} {said}" for name, said in lines if said]
    return "\n".join([*known, *(f"{'not known':<10} {each}" for each in record.unknown)])


def _inputs(record: Provenance) -> str:
    together = f"sha256 {record.inputs_sha256[:_SHORT]}…" if record.inputs_sha256 else ""
    if record.inputs is None:
        return f"all together {together}" if together else "not known"
    return _pieces(record.inputs)


def _commit_now(record: Provenance) -> str:
    author = record.author
    return f"{author.commit}{' and changes' if author.is_modified else ''}" if author.commit else ""


def _pieces(pieces: list[Piece]) -> str:
    return ", ".join(map(_piece, pieces))


def _piece(piece: Piece) -> str:
    known = f", sha256 {piece.sha256[:_SHORT]}…" if piece.sha256 else ""
    return f"{piece.name} ({piece.size:,} bytes{known})"
