"""Exceptions of users' functions, described where they were raised. `rebuilt_errors` is the other end.

A description never fails and never grows: plain fields always, and the object itself if it travels and loads.
"""

from __future__ import annotations

import itertools
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from funcx_core.protocol.task import Frame, RelatedError, TaskError
from funcx_core.serialize.bytesform import dumps, loads

_HALF: Final = 32 * 1024
_MESSAGE_HALF: Final = 4 * 1024
_MOST_FRAMES: Final = 100
_MOST_RELATED: Final = 20
_MOST_RELATED_FRAMES: Final = 20
_MOST_EXCEPTION_BYTES: Final = 1024 * 1024
_MOST_RELATED_BYTES: Final = 16 * 1024
_OWN_FOLDERS: Final = ("/funcx_endpoint/", "/funcx_jupyter/")
_OWN_FOLDER: Final = str(Path(__file__).resolve().parents[1])
CAUSE: Final = "cause"
CONTEXT: Final = "context"
MEMBER: Final = "member"
USER_EXCEPTION: Final = "remote_task_error"


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
        bases=_bases(type(error)),
        related=_described_relatives(error),
    )


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


def portable_parts(error: BaseException) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments and fields of an exception that can be pickled; of arguments that cannot, what they look like."""
    args = tuple(arg if _travels(arg) else _Shown(arg) for arg in error.args)
    return args, {name: value for name, value in error.__dict__.items() if _travels(value)}


class _Shown:
    """Stands for an argument that cannot be pickled; arrives as text that shows itself as the argument did."""

    def __init__(self, thing: Any) -> None:
        self._text = _repr(thing)

    def __reduce__(self) -> tuple[Any, ...]:
        return str, (self._text,)


def _repr(thing: Any) -> str:
    try:
        return shorten(repr(thing), 500)
    except Exception:  # noqa: BLE001 - a user's `__repr__`
        return f"<{type(thing).__name__}>"


def _travels(value: Any) -> bool:
    try:
        loads(dumps(value))
    except Exception:  # noqa: BLE001 - the value's own code may raise anything
        return False
    return True


class _ByFields:
    """Pickles an exception as a call of `rebuild_by_fields`. `all_parts`: also what cannot be pickled, if there is such."""

    def __init__(self, error: BaseException, *, all_parts: bool) -> None:
        self._error = error
        self._all_parts = all_parts

    def __reduce__(self) -> tuple[Any, ...]:
        error = self._error
        args, fields = (error.args, dict(error.__dict__)) if self._all_parts else portable_parts(error)
        return rebuild_by_fields, (type(error), args, fields)


def _travelling(error: BaseException, *, is_short: bool) -> bytes:
    if not isinstance(error, Exception) or not is_short:
        return b""  # SystemExit and KeyboardInterrupt must not end the client.
    for form in (error, _ByFields(error, all_parts=True), _ByFields(error, all_parts=False)):
        try:
            pickled = dumps(form)
            if len(pickled) <= _MOST_EXCEPTION_BYTES and type(loads(pickled)).__name__ == type(error).__name__:
                return b"pb\n" + pickled
        except Exception:  # noqa: BLE001, S112 - the exception's own code may raise anything
            continue
    return b""


def _user_part(start: TracebackType | None, hidden: tuple[str, ...]) -> TracebackType | None:
    step = start
    while step is not None and _is_ours(step.tb_frame.f_code.co_filename, hidden):
        step = step.tb_next
    return step if step is not None else None


def _is_ours(file: str, hidden: tuple[str, ...]) -> bool:
    return file in hidden or file.startswith(_OWN_FOLDER) or any(folder in file for folder in _OWN_FOLDERS)


def _frames(start: TracebackType | None, most: int = _MOST_FRAMES) -> list[Frame]:
    """Return the frames from `start` on, those that only follow themselves once, without those of ours at the end."""
    runs = [(key, sum(1 for _ in same)) for key, same in itertools.groupby(_walk(start))]
    frames = [Frame(_sendable(code.co_filename), line, _sendable(code.co_name), times) for (code, line), times in runs]
    while frames and _OWN_FOLDERS[0] in frames[-1].filename:
        frames.pop()  # What the worker does in place of `input` and its like.
    return frames if len(frames) <= most else frames[: most // 2] + frames[-most // 2 :]


def _bases(cls: type[BaseException]) -> list[str]:
    return [
        base.__name__
        for base in cls.__mro__
        if base.__module__ == "builtins" and issubclass(base, Exception) and base is not Exception
    ]


def _described_relatives(error: BaseException) -> list[RelatedError]:
    found: list[tuple[str, int, BaseException]] = []
    seen = {id(error)}
    _gather(error, -1, found, seen)
    return [RelatedError(how=how, of=of, error=_described_briefly(one)) for how, of, one in found]


def _gather(error: BaseException, place: int, found: list[tuple[str, int, BaseException]], seen: set[int]) -> None:
    for how, one in _kin(error):
        if len(found) < _MOST_RELATED and id(one) not in seen:
            seen.add(id(one))
            found.append((how, place, one))
            _gather(one, len(found) - 1, found, seen)


def _kin(error: BaseException) -> Iterator[tuple[str, BaseException]]:
    if error.__cause__ is not None:
        yield CAUSE, error.__cause__
    elif error.__context__ is not None and not error.__suppress_context__:
        yield CONTEXT, error.__context__
    if isinstance(error, BaseExceptionGroup):
        yield from ((MEMBER, one) for one in error.exceptions)


def _described_briefly(error: BaseException) -> TaskError:
    message = shorten(_text_of(error), _MESSAGE_HALF // 4)
    pickled = _travelling(error, is_short=len(message) <= _MESSAGE_HALF)
    return TaskError(
        code=USER_EXCEPTION,
        message=message,
        type_name=_name_of(type(error), "__qualname__"),
        module=_name_of(type(error), "__module__"),
        frames=_frames(_user_part(error.__traceback__, ()), _MOST_RELATED_FRAMES),
        exception=pickled if len(pickled) <= _MOST_RELATED_BYTES else b"",
        bases=_bases(type(error)),
    )


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
