"""Exceptions of users' functions, rebuilt where they are wanted. `exceptions` is the other end.

An exception comes back as an object of its own class. Where that cannot be, as a `RemoteTaskError` that is also the nearest builtin class
it derives from: so ``except ValueError`` means the same here and there.
"""

from __future__ import annotations

import builtins
import functools
import itertools
from typing import Any, Final, NamedTuple

from funcx_core.errors import FuncxError, RemoteTaskError
from funcx_core.protocol.task import Frame, TaskError
from funcx_core.serialize.exceptions import MEMBER, USER_EXCEPTION
from funcx_core.serialize.values import unpack_value

_MOST_RELATED: Final = 64


class Related(NamedTuple):
    """A cause, context or member of a group: see `RelatedError`."""

    how: str
    of: int
    error: BaseException


class RemoteInfo(NamedTuple):
    """What is known of the place where an exception was raised; its attribute `funcx` holds this."""

    task_id: str | None
    traceback: str
    frames: list[Frame]
    details: dict[str, Any]
    related: tuple[Related, ...] = ()

    @property
    def locals(self) -> dict[str, str]:
        """What the variables of the last frame of the notebook's code looked like, by name. Of functions nothing is told."""
        found = self.details.get("locals")
        return {str(name): str(text) for name, text in found.items()} if isinstance(found, dict) else {}

    @property
    def host(self) -> str:
        """The node on which it was raised; empty if it is not known."""
        return str(self.details.get("hostname") or "")

    @property
    def endpoint(self) -> str:
        """The name of the endpoint; empty if it is not known here."""
        return str(self.details.get("endpoint") or "")

    @property
    def memory_peak(self) -> int | None:
        """The most memory (bytes) that the worker's process had while the cell ran; None if it is not known."""
        found = self.details.get("memory_peak")
        return found if isinstance(found, int) else None

    @property
    def stdout(self) -> str:
        """The end of what the cell printed."""
        return str(self.details.get("stdout_tail") or "")


class RemoteTraceback(Exception):
    """Shows the remote traceback as the cause of a rebuilt exception."""

    def __init__(self, text: str) -> None:
        self.text = text
        super().__init__(text)

    def __str__(self) -> str:
        return f"\n\n{self.text}"


def rebuild_exception(error: TaskError, task_id: str | None = None, *, data_only: bool = False) -> BaseException:
    """Return the exception that a `TaskError` describes: the user's own class if it loads here, else one of ours.

    Its attribute `funcx` is a `RemoteInfo`. Never raises.

    Args:
        error: the description.
        task_id: the task that raised it.
        data_only: whoever described it is not trusted: only builtin exceptions come back as themselves.
    """
    family = _Family(error, task_id, data_only=data_only)
    rebuilt = family.made(-1)
    sound = itertools.takewhile(family.is_sound, range(len(error.related)))
    related = tuple(Related(error.related[place].how, error.related[place].of, family.made(place)) for place in sound)
    remote = RemoteInfo(task_id, error.traceback, error.frames, error.details, related)
    if not _attach(rebuilt, remote):
        rebuilt = error.to_exception(task_id)
        _attach(rebuilt, remote)
    for one, described in zip(related, error.related, strict=False):
        _attach(one.error, RemoteInfo(task_id, "", described.error.frames, {}))
    return rebuilt


class _Family:
    """The exceptions of one description, each made once. -1 is the one that ended the task."""

    def __init__(self, error: TaskError, task_id: str | None, *, data_only: bool) -> None:
        self._error = error
        self._task_id = task_id
        self._data_only = data_only
        self._made: dict[int, BaseException] = {}

    def is_sound(self, place: int) -> bool:
        """Whether that one belongs to one before it. The description may come from whoever."""
        return place < _MOST_RELATED and -1 <= self._error.related[place].of < place

    def made(self, place: int) -> BaseException:
        """Return the exception at that place. A group that came with its members has made those, too."""
        if place not in self._made:
            self._made[place] = self._make(place)
        return self._made[place]

    def _make(self, place: int) -> BaseException:
        described = self._error if place == -1 else self._error.related[place].error
        own = None if self._data_only else _original(described)
        members = [
            number
            for number, one in enumerate(self._error.related)
            if one.of == place and one.how == MEMBER and self.is_sound(number)
        ]
        if isinstance(own, BaseExceptionGroup):
            self._made.update(zip(members, own.exceptions, strict=False))
        elif own is None and members:
            inner = [made for number in members if isinstance(made := self.made(number), Exception)]
            own = ExceptionGroup(described.message, inner) if inner else None
        return own or _builtin(described) or _nearest(described, self._task_id)


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


def _nearest(error: TaskError, task_id: str | None) -> FuncxError:
    """Return one of ours that ``except`` takes for the nearest builtin class."""
    plain = error.to_exception(task_id)
    if not isinstance(plain, RemoteTaskError) or error.code != USER_EXCEPTION:
        return plain
    for name in error.bases:
        try:
            return remote_class(name)(str(plain), task_id=task_id, details=plain.details)
        except (TypeError, ValueError, AttributeError):  # it wants other arguments, or Python has no such class here
            continue
    return plain


@functools.cache
def remote_class(name: str) -> type[RemoteTaskError]:
    """Return the class of exceptions that are a `RemoteTaskError` and that builtin class.

    Raises:
        AttributeError, TypeError: there is no such class, or none that others can derive from.
    """
    base = getattr(builtins, name)
    if not issubclass(base, Exception):
        raise TypeError(name)
    members = {
        "__module__": __name__,
        "__doc__": RemoteTaskError.__doc__,
        "__str__": _text,
        "__reduce__": _reduce,
        "_base": name,
    }
    return type(RemoteTaskError.__name__, (RemoteTaskError, base), members)


def _text(error: RemoteTaskError) -> str:
    return Exception.__str__(error)  # A `KeyError` would put it in quotes.


def _reduce(error: Any) -> tuple[Any, ...]:
    return _again, (error._base, error.args, dict(error.__dict__))  # noqa: SLF001 - of the classes made above


def _again(name: str, args: tuple[Any, ...], fields: dict[str, Any]) -> BaseException:
    error = remote_class(name)(*args)
    error.__dict__.update(fields)
    return error


def _attach(error: BaseException, remote: RemoteInfo) -> bool:
    try:
        error.funcx = remote  # type: ignore[attr-defined]
        if remote.traceback and error.__cause__ is None:
            error.__cause__ = RemoteTraceback(remote.traceback)
    except Exception:  # noqa: BLE001 - a user's class may forbid attributes
        return False
    return True
