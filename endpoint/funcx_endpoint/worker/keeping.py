"""Values that the cells of this worker leave on the endpoint, and find there."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import IO, Any, Final

from funcx_core.cells.keeping import read_kept, read_outcome, write_kept
from funcx_core.cells.rebuild import Arrivals
from funcx_core.cells.spec import Bundle, KeptFacts, outcome_decoder
from funcx_core.errors import ResultNotSerializable, ValueNotKept
from funcx_core.protocol.payload import VALUE
from funcx_core.serialize import unpack_value
from funcx_endpoint.if_refused import WHOLE_OUTCOME
from funcx_endpoint.kept import KeptKey, Manner
from funcx_endpoint.worker.place import Place, place

_MOST_TEXT: Final = 2_000
_MOST_HTML: Final = 50_000
_MOST_COLUMNS: Final = 100
_MOST_NAME: Final = 100


def keep(
    here: Place, name: str, value: Any, arrivals: Arrivals, *, manner: Manner = Manner.ASKED, over: int = 0
) -> KeptFacts:
    """Keep a value, and return what is to be known of it. `over`: the limit that it was over, if that is why.

    Raises:
        ValueNotKept: there is no room.
        ResultNotSerializable: it cannot be pickled.
    """
    size = _write(here, here.key(name), value, arrivals, manner)
    return facts_of(name, value, size, kept_seconds=here.folder.lifetime, over=over)


def _write(here: Place, key: KeptKey, value: Any, arrivals: Arrivals, manner: Manner) -> int:
    try:
        with here.folder.writing(key, manner) as file:
            return write_kept(value, arrivals, file)
    except (ValueNotKept, KeyboardInterrupt):
        raise
    except OSError as error:
        raise ValueNotKept(f"`{key.name}` cannot be kept on the endpoint: {error}", details={"why": "full"}) from None
    except Exception as error:
        # Pickling runs code of the user's classes, which may raise anything.
        raise ResultNotSerializable(f"`{key.name}` ({class_name(value)}) cannot be kept: {error}") from error


def finder(here: Place, arrivals: Arrivals) -> Callable[[str, str], Any]:
    """Return what loads values of the same owner into `arrivals`, each once."""
    found: dict[tuple[str, str], Any] = {}

    def find(task_id: str, name: str) -> Any:
        if (task_id, name) not in found:
            key = KeptKey(here.owner, task_id, name)
            for other, value in _divided(here, key, arrivals).items():
                found[task_id, other] = value
            if (task_id, name) not in found:
                with here.folder.open_value(key) as file:
                    found[task_id, name] = _read(file, arrivals)
        return found[task_id, name]

    return find


def _read(file: IO[bytes], arrivals: Arrivals) -> Any:
    head = file.read(len(VALUE))
    if head == VALUE:  # What a function returned stays as it was to be sent.
        return unpack_value(head + file.read())
    file.seek(0)
    return read_kept(file, arrivals)


def _divided(here: Place, key: KeptKey, arrivals: Arrivals) -> dict[str, Any]:
    """Give each value of an outcome that the service did not take a file of its own, if the one that is looked for has none; return them.

    They stay together where there is no room for them twice; they are found there again.
    """
    whole = key._replace(name=WHOLE_OUTCOME)
    if here.folder.has(key) or not here.folder.has(whole):
        return {}
    with here.folder.open_value(whole) as file:
        outcome = outcome_decoder.decode(unpack_value(file.read()))
    values = read_outcome(outcome, arrivals)
    with suppress(ValueNotKept, ResultNotSerializable):
        for name, value in values.items():
            _write(here, key._replace(name=name), value, arrivals, Manner.ASKED)
        here.folder.delete(whole)
    return values


def delete(task_id: str, name: str) -> bool:
    """Remove a value of the user whose task this is; whether it was there. Cells call this."""
    here = _required(name)
    key = KeptKey(here.owner, task_id, name)
    _divided(here, key, Arrivals({}))
    return here.folder.delete(key)


def pin(task_id: str, name: str, is_pinned: bool) -> None:
    """Keep a value of the user whose task this is until it is unpinned or deleted; or for the usual time. Cells call this."""
    here = _required(name)
    key = KeptKey(here.owner, task_id, name)
    _divided(here, key, Arrivals({}))
    here.folder.pin(key, is_pinned=is_pinned)


def _required(name: str) -> Place:
    if (here := place()) is None:
        raise ValueNotKept(
            f"`{name}` is not here: this endpoint keeps no values.", details={"why": "off", "name": name}
        )
    return here


def facts_of(name: str, value: Any, size: int, *, kept_seconds: float, over: int = 0) -> KeptFacts:
    """Return what is to be known of a value without having it. Its class may do as it likes: what it raises is left out."""
    return KeptFacts(
        name=name,
        size=size,
        kept_seconds=kept_seconds,
        over=over,
        type_name=class_name(value)[:_MOST_NAME],
        shape=_asked(lambda: [int(part) for part in value.shape]),
        dtype=_asked(lambda: str(value.dtype)[:_MOST_NAME]) or "",
        columns=_asked(lambda: [str(name)[:_MOST_NAME] for name in list(value.columns)[:_MOST_COLUMNS]]) or [],
        length=_asked(lambda: len(value)),
        shown=_shown(value),
    )


def class_name(value: Any) -> str:
    """Return the class of a value as people write it."""
    cls = type(value)
    return cls.__qualname__ if cls.__module__ in {"builtins", "__main__"} else f"{cls.__module__}.{cls.__qualname__}"


def _shown(value: Any) -> Bundle:
    text = _asked(lambda: _short(value)) or f"<{class_name(value)}>"
    data = {"text/plain": text if len(text) <= _MOST_TEXT else f"{text[:_MOST_TEXT]}…"}
    html = _asked(lambda: None if isinstance(value, type) else value._repr_html_())
    if isinstance(html, str) and len(html) <= _MOST_HTML:
        data["text/html"] = html
    return Bundle(data)


def _short(value: Any) -> str:
    # `repr` of a list of a million numbers takes a second, and almost all of it would be cut off.
    import reprlib  # noqa: PLC0415 - workers that keep nothing need none of it

    if type(value) in {list, tuple, dict, set, frozenset, str, bytes, bytearray}:
        brief = reprlib.Repr()
        brief.maxstring = brief.maxother = brief.maxlong = _MOST_TEXT
        brief.maxlist = brief.maxtuple = brief.maxdict = brief.maxset = brief.maxfrozenset = 20
        return brief.repr(value)
    return repr(value)


def _asked(question: Callable[[], Any]) -> Any:
    with suppress(Exception):
        return question()
    return None
