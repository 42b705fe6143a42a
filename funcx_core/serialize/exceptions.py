"""Exceptions of users' functions: described where they were raised, rebuilt where they are wanted.

The description never fails and never grows: plain fields always, and the object itself if it travels and loads.
"""

from __future__ import annotations

import builtins
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple

from funcx_core.protocol.task import Frame, TaskError
from funcx_core.serialize.bytesform import dumps, loads
from funcx_core.serialize.values import unpack_value

_HALF: Final = 32 * 1024
_MESSAGE_HALF: Final = 4 * 1024
_MOST_FRAMES: Final = 100
_MOST_EXCEPTION_BYTES: Final = 1024 * 1024
_OWN_FOLDERS: Final = (str(Path(__file__).resolve().parents[1]), "/funcx_endpoint/")
USER_EXCEPTION: Final = "remote_task_error"


class RemoteInfo(NamedTuple):
    """What is known of the place where an exception was raised; its attribute `funcx` holds this."""

    task_id: str | None
    traceback: str
    frames: list[Frame]
    details: dict[str, Any]


class RemoteTraceback(Exception):
    """Shows the remote traceback as the cause of a rebuilt exception."""

    def __init__(self, text: str) -> None:
        self.text = text
        super().__init__(text)

    def __str__(self) -> str:
        return f"\n\n{self.text}"


def describe_exception(
    error: BaseException,
    *,
    user_frames_only: bool = True,
    hidden_files: Iterable[str] = (),
    details: dict[str, Any] | None = None,
) -> TaskError:
    """Return `error` as plain fields, with the object if it travels. Never raises.

    Args:
        error: what a user's function raised.
        user_frames_only: leave out the leading frames of this system.
        hidden_files: further files whose leading frames are left out.
        details: further plain facts.
    """
    start = _user_part(error.__traceback__, tuple(hidden_files)) if user_frames_only else error.__traceback__
    message = shorten(_text_of(error), _MESSAGE_HALF)
    return TaskError(
        code=USER_EXCEPTION,
        message=message,
        type_name=_name_of(type(error), "__qualname__"),
        module=_name_of(type(error), "__module__"),
        traceback=shorten(_formatted(error, start), _HALF),
        frames=_frames(start),
        exception=_travelling(error, is_short=len(message) <= 2 * _MESSAGE_HALF),
        details=details or {},
    )


def rebuild_exception(error: TaskError, task_id: str | None = None, *, data_only: bool = False) -> BaseException:
    """Return the exception that a `TaskError` describes: the user's own class if it loads here, else one of ours.

    Its attribute `funcx` is a `RemoteInfo`. Never raises.

    Args:
        error: the description.
        task_id: the task that raised it.
        data_only: whoever described it is not trusted: only builtin exceptions come back as themselves.
    """
    remote = RemoteInfo(task_id, error.traceback, error.frames, error.details)
    rebuilt = (None if data_only else _original(error)) or _builtin(error)
    if rebuilt is None or not _attach(rebuilt, remote):
        rebuilt = error.to_exception(task_id)
        _attach(rebuilt, remote)
    return rebuilt


def shorten(text: str, half: int) -> str:
    """Return `text`, or its head and tail of `half` characters with a note between them, in a form that can be sent."""
    text = _sendable(text)
    if len(text) <= 2 * half:
        return text
    return f"{text[:half]}\n... {len(text) - 2 * half:,} characters left out ...\n{text[-half:]}"


def rebuild_by_fields(cls: type[BaseException], args: tuple[Any, ...], fields: dict[str, Any]) -> BaseException:
    """Return an exception without calling its constructor, which may want other arguments than `args`."""
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(fields)
    return error


class _ByFields:
    """Pickles an exception as a call of `rebuild_by_fields`."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def __reduce__(self) -> tuple[Any, ...]:
        return rebuild_by_fields, (type(self._error), self._error.args, dict(self._error.__dict__))


def _travelling(error: BaseException, *, is_short: bool) -> bytes:
    if not isinstance(error, Exception) or not is_short:
        return b""  # SystemExit and KeyboardInterrupt must not end the client.
    for form in (error, _ByFields(error)):
        try:
            pickled = dumps(form)
            if len(pickled) <= _MOST_EXCEPTION_BYTES and type(loads(pickled)).__name__ == type(error).__name__:
                return b"pb\n" + pickled
        except Exception:  # noqa: BLE001, S112 - the exception's own code may raise anything
            continue
    return b""


def _original(error: TaskError) -> Exception | None:
    if not error.exception:
        return None
    try:
        found = unpack_value(error.exception)
    except Exception:  # noqa: BLE001 - loading runs code that may be missing or broken here
        return None
    return found if isinstance(found, Exception) else None


def _builtin(error: TaskError) -> Exception | None:
    """Return an exception of a builtin class that was too large, or not able, to travel itself."""
    cls = getattr(builtins, error.type_name, None) if error.module == "builtins" else None
    if not (isinstance(cls, type) and issubclass(cls, Exception)):
        return None
    try:
        return cls(error.message)
    except TypeError:  # UnicodeDecodeError and its like want more
        return None


def _attach(error: BaseException, remote: RemoteInfo) -> bool:
    try:
        error.funcx = remote  # type: ignore[attr-defined]
        if remote.traceback and error.__cause__ is None:
            error.__cause__ = RemoteTraceback(remote.traceback)
    except Exception:  # noqa: BLE001 - a user's class may forbid attributes
        return False
    return True


def _user_part(start: TracebackType | None, hidden: tuple[str, ...]) -> TracebackType | None:
    step = start
    while step is not None and _is_ours(step.tb_frame.f_code.co_filename, hidden):
        step = step.tb_next
    return step if step is not None else None


def _is_ours(file: str, hidden: tuple[str, ...]) -> bool:
    return file in hidden or file.startswith(_OWN_FOLDERS[0]) or _OWN_FOLDERS[1] in file


def _frames(start: TracebackType | None) -> list[Frame]:
    frames = [Frame(_sendable(code.co_filename), line, _sendable(code.co_name)) for code, line in _walk(start)]
    if len(frames) <= _MOST_FRAMES:
        return frames
    return frames[: _MOST_FRAMES // 2] + frames[-_MOST_FRAMES // 2 :]


def _walk(step: TracebackType | None) -> Iterator[tuple[Any, int]]:
    while step is not None:
        yield step.tb_frame.f_code, step.tb_lineno
        step = step.tb_next


def _formatted(error: BaseException, start: TracebackType | None) -> str:
    try:
        return "".join(traceback.TracebackException(type(error), error, start).format())
    except Exception:  # noqa: BLE001 - formatting calls the exception's own code
        return f"{_name_of(type(error), '__qualname__')}: {_text_of(error)}"


def _text_of(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - a user's `__str__`
        return f"<unprintable {_name_of(type(error), '__qualname__')}>"


def _name_of(cls: type, attribute: str) -> str:
    return _sendable(str(getattr(cls, attribute, "") or cls.__name__)[:200])


def _sendable(text: str) -> str:
    """Return `text` with lone surrogates, which no encoding takes, written as escapes."""
    return text if text.isascii() else text.encode(errors="backslashreplace").decode()
