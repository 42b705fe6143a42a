"""How the processes of the fabric log: one JSON object per line in files, short coloured text on a console.

Every process calls `configure` once, at its start. Code then uses `logging.getLogger(__name__)` and passes ids in `extra`::

    _log.info("leased %d tasks", len(batch), extra={"endpoint_id": endpoint_id})

At level TRACE every hop says of every task when it passed (`trace_tasks`); at any other level that costs one question a batch.

Nothing that was logged can forge a line or drive a terminal (control characters are escaped), and no bearer token gets
into a file (`redact`). A full disk drops lines; it never stops the process.
"""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from logging.handlers import RotatingFileHandler
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, TextIO

import msgspec

TRACE: Final = 5
logging.addLevelName(TRACE, "TRACE")


class Level(StrEnum):
    """How much is logged, from most to least."""

    TRACE = "trace"
    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"

    @property
    def number(self) -> int:
        """The level of the standard library."""
        return logging.getLevelNamesMapping()[self.name]

    @property
    def is_verbose(self) -> bool:
        """Whether tracebacks belong onto a console."""
        return self.number <= logging.DEBUG


ROTATE_AT: Final = 10 * 1024 * 1024
KEEP: Final = 3

_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_CONTROL: Final = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]"
)  # JSON itself escapes tab and line feed
_SECRETS: Final = (
    re.compile(r"(?i)(\bbearer\s+)[^\s\"',;]+"),
    re.compile(r"(?i)(\b(?:access_|refresh_|api_)?(?:token|secret|password)[\"']?\s*[=:]\s*[\"']?)[^\s\"',;&}]+"),
)
_COLOURS: Final = {
    "WARNING": "\x1b[33m",
    "ERROR": "\x1b[31m",
    "CRITICAL": "\x1b[1;31m",
    "DEBUG": "\x1b[2m",
    "TRACE": "\x1b[2m",
}
_QUIET: Final = ("asyncio", "parsl", "tornado.access", "urllib3")


def configure(
    log_file: Path | None,
    *,
    console: bool,
    process: str,
    level: Level = Level.INFO,
    ids: Mapping[str, str] = MappingProxyType({}),
    rotate_at: int = ROTATE_AT,
    keep: int = KEEP,
) -> None:
    """Set up logging for this process; calling it again replaces what was set up.

    Args:
        log_file: where JSON lines go (mode 0600, rotated), or None for nowhere.
        console: whether stderr gets text too, in colours if it is a terminal. Tracebacks are shown there only from DEBUG on.
        process: what this process is in the fabric, such as ``service`` or ``manager``.
        level: what is less important is not logged.
        ids: what this process belongs to, such as its ``endpoint_id``; in every line of the file.
        rotate_at: bytes after which a new file is begun; 0 for never.
        keep: older files that are kept.
    """
    root = logging.getLogger()
    for handler in list(root.handlers):
        root.removeHandler(handler)
        handler.close()
    logging.raiseExceptions = level.is_verbose  # a full disk costs lines, not the process
    root.setLevel(level.number)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.INFO if level.is_verbose else logging.WARNING)
    if log_file is not None:
        root.addHandler(_file_handler(log_file, JsonLines(process, ids), rotate_at, keep))
    if console:
        root.addHandler(_console_handler(sys.stderr, debug=level.is_verbose))


def trace_tasks(logger: logging.Logger, what: str, task_ids: Iterable[str], **ids: object) -> None:
    """Say of each task what happened to it at this hop, if that is wanted."""
    if logger.isEnabledFor(TRACE):
        for task_id in task_ids:
            logger.log(TRACE, what, extra={"task_id": task_id, **ids})


def redact(text: str) -> str:
    """Return `text` with bearer tokens and values named like secrets replaced by ``***``."""
    for pattern in _SECRETS:
        text = pattern.sub(r"\1***", text)
    return text


def printable(text: str) -> str:
    """Return `text` with control characters (all but tab and line feed) and lone surrogates as visible escapes."""
    return _CONTROL.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


class JsonLines(logging.Formatter):
    """One JSON object per record: ts, level, logger, process, pid, thread, message, the ids, exception."""

    def __init__(self, process: str, ids: Mapping[str, str] = MappingProxyType({})) -> None:
        super().__init__()
        self._process = process
        self._ids = dict(ids)

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without its end."""
        line: dict[str, Any] = {
            "ts": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds"),
            "level": record.levelname,
            "logger": record.name,
            "process": self._process,
            "pid": record.process,
            "thread": record.threadName,
            "message": _clean(record.getMessage()),
            **self._ids,
        }
        line.update({name: _plain(value) for name, value in vars(record).items() if name not in _STANDARD})
        if record.exc_info:
            line["exception"] = _clean(self.formatException(record.exc_info))
        return msgspec.json.encode(line).decode()


class ConsoleText(logging.Formatter):
    """A line for people: time, level if it matters, message."""

    def __init__(self, *, colour: bool, debug: bool) -> None:
        super().__init__()
        self._colour = colour
        self._debug = debug

    def format(self, record: logging.LogRecord) -> str:
        """Return the text of one record."""
        level = "" if record.levelno == logging.INFO else f"{record.levelname.lower()}: "
        text = f"{datetime.fromtimestamp(record.created).astimezone():%H:%M:%S} {level}{_clean(record.getMessage())}"
        if record.exc_info and self._debug:
            text += "\n" + _clean(self.formatException(record.exc_info))
        start = _COLOURS.get(record.levelname, "") if self._colour else ""
        return f"{start}{text}\x1b[0m" if start else text


def _clean(text: str) -> str:
    return printable(redact(text))


def _plain(value: object) -> object:
    return value if isinstance(value, int | float | bool | None) else _clean(str(value))


def _file_handler(log_file: Path, lines: JsonLines, rotate_at: int, keep: int) -> logging.Handler:
    log_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handler = _PrivateRotatingFile(
        log_file, maxBytes=rotate_at, backupCount=keep, encoding="utf-8", errors="backslashreplace"
    )
    handler.setFormatter(lines)
    return handler


def _console_handler(stream: TextIO, *, debug: bool) -> logging.Handler:
    handler = logging.StreamHandler(stream)
    handler.setFormatter(ConsoleText(colour=stream.isatty() and "NO_COLOR" not in os.environ, debug=debug))
    return handler


class _PrivateRotatingFile(RotatingFileHandler):
    """A rotating log that only its owner may read."""

    def _open(self) -> Any:
        return open(
            self.baseFilename,
            self.mode,
            encoding=self.encoding,
            errors=self.errors,
            opener=lambda path, flags: os.open(path, flags, 0o600),
        )
