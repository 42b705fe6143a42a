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
        ("inputs", "not known" if record.inputs is None else _pieces(record.inputs)),
        ("results", _pieces(record.results)),
        ("ran on", ", ".join(filter(None, (where.endpoint or where.endpoint_id, where.hostname)))),
        ("python", " ".join(filter(None, (where.python_version, where.platform)))),
        ("packages", ", ".join(" ".join(pair).strip() for pair in sorted(where.packages.items()))),
        ("container", where.container),
        ("started", record.times.started or ""),
        ("ended", record.times.ended or ""),
        ("by", " at ".join(filter(None, (author.user, author.hostname)))),
        ("commit", f"{author.commit}{' and changes' if author.is_modified else ''}" if author.commit else ""),
        ("error", " ".join(filter(None, ((record.error or {}).get("type_name"), (record.error or {}).get("message"))))),
    ]
    known = [f"{name:<10} {said}" for name, said in lines if said]
    return "\n".join([*known, *(f"{'not known':<10} {each}" for each in record.unknown)])


def _pieces(pieces: list[Piece]) -> str:
    return ", ".join(f"{piece.name} ({piece.size:,} bytes, sha256 {piece.sha256[:_SHORT]}…)" for piece in pieces)
