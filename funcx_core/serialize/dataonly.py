"""Pickles as data: read without running anything that their maker chose.

`pickle.loads` calls what the pickle names. This reader knows the instructions of which plain data is made, looks no class up, and
gives the few names that stand for data (dates, decimals, numpy arrays) to builders of ours, which check what they are given.
Whatever else the bytes say, `NotPlainData` is raised. So it is safe to read what a stranger's worker wrote, and workers need not
write anything special: a pickle of plain values *is* plain data. Protocols 3 to 5 are read; nothing else was ever written.

What it makes is bounded by the length of the bytes: no instruction reserves memory for a number that it carries. It is about twenty
times slower than `pickle.loads`; results of one's own endpoints do not come this way.
"""

from __future__ import annotations

import collections
import pickle
import struct
from collections.abc import Callable
from typing import Any, Final, NoReturn

from funcx_core.errors import NotPlainData
from funcx_core.serialize.dataonly_types import BUILDERS, Builder, Unfinished, checked_key

_DICTS: Final = (dict, collections.OrderedDict, collections.defaultdict)
_LISTS: Final = (list, collections.deque)
_float_of = struct.Struct(">d").unpack_from


def read(pickled: bytes | memoryview) -> Any:
    """Return the value of a pickle that holds plain data.

    Raises:
        NotPlainData: it holds something else, or is no pickle; the message says what was met.
    """
    return DataReader(pickled).load()


class _Arguments(tuple[Any, ...]):
    """Arguments of a builder with a name among them. They are no value."""

    __slots__ = ()


_NO_VALUES: Final = (Builder, Unfinished, _Arguments)


class DataReader:
    """Reads one pickle after the other, as `pickle.Unpickler` does: later ones may refer to parts of earlier ones.

    Its methods are for the instructions below.
    """

    def __init__(self, content: bytes | memoryview) -> None:
        self._content = bytes(content)
        self._at = 0
        self.stack: list[Any] = []
        self.marks: list[int] = []  # heights of the stack
        self.memo: dict[int, Any] = {}
        self.has_names = False
        self.is_at_end = False

    def load(self) -> Any:
        """Return the next value.

        Raises:
            NotPlainData: as `read` does.
        """
        self.is_at_end = False
        try:
            return self._run()
        except NotPlainData:
            raise
        except Exception as error:  # bytes of a stranger: an empty stack, bad UTF-8, a date of month 13
            reason = f"{type(error).__name__}: {str(error)[:100]}"
            raise NotPlainData(f"something damaged at byte {self._at:,} ({reason})") from error

    def _run(self) -> Any:
        content, actions = self._content, _ACTIONS
        while not self.is_at_end:
            code = content[self._at]
            self._at += 1
            action = actions.get(code)
            if action is None:
                _refuse(f"instruction {code:#04x} of pickle")
            action(self)
        value = self.pop_value()
        if self.stack or self.marks:
            _refuse("more than one value")
        return value

    # --- the bytes ---------------------------------------------------------------------------------------------

    def take(self, size: int) -> bytes:
        """Return the next `size` bytes."""
        end = self._at + size
        if end > len(self._content):
            _refuse("a length beyond its end")
        part = self._content[self._at : end]
        self._at = end
        return part

    def size(self, width: int) -> int:
        """Return the next number of `width` bytes."""
        return int.from_bytes(self.take(width), "little")

    def line(self) -> str:
        """Return the rest of the line."""
        end = self._content.index(b"\n", self._at)
        return self.take(end + 1 - self._at)[:-1].decode("ascii")

    # --- the stack ---------------------------------------------------------------------------------------------

    def push(self, value: Any) -> None:
        """Put a value, or what is to become one, on the stack."""
        self.stack.append(value)

    def pop(self) -> Any:
        """Take the top of the stack, whatever it is."""
        if self.marks and self.marks[-1] >= len(self.stack):
            _refuse("a mark instead of a value")
        return self.stack.pop()

    def pop_value(self) -> Any:
        """Take the top of the stack, a value."""
        value = self.pop()
        if isinstance(value, _NO_VALUES):
            _refuse_no_value(value)
        return value

    def pop_arguments(self, found: list[Any]) -> tuple[Any, ...]:
        """Return a tuple, which may hold names if it is to be the arguments of one."""
        if self.has_names and any(isinstance(value, _NO_VALUES) for value in found):
            for value in found:
                if not isinstance(value, Builder):
                    _check(value)
            return _Arguments(found)
        return tuple(found)

    def pop_some(self) -> list[Any]:
        """Take what is above the last mark, whatever it is."""
        start = self.marks.pop()
        found = self.stack[start:]
        del self.stack[start:]
        return found

    def pop_values(self) -> list[Any]:
        """Take the values above the last mark."""
        found = self.pop_some()
        if self.has_names:
            for value in found:
                _check(value)
        return found

    def top_of(self, kinds: tuple[type, ...]) -> Any:
        """Return the top of the stack, which stays there."""
        target = self.stack[-1]
        if type(target) not in kinds:
            _refuse(f"items of a {type(target).__name__}")
        return target


def _check(value: Any) -> None:
    if isinstance(value, _NO_VALUES):
        _refuse_no_value(value)


def _refuse_no_value(value: Any) -> NoReturn:
    if isinstance(value, Unfinished):
        _refuse(f"a {value.what} that is used before it is complete")
    _refuse("a class or function")


def _refuse(what: str) -> NoReturn:
    raise NotPlainData(what)


# --- instructions -----------------------------------------------------------------------------------------------


def _stop(reader: DataReader) -> None:
    reader.is_at_end = True


def _mark(reader: DataReader) -> None:
    reader.marks.append(len(reader.stack))


def _drop(reader: DataReader) -> None:
    if reader.marks and reader.marks[-1] == len(reader.stack):
        reader.marks.pop()
    else:
        reader.stack.pop()


def _long(reader: DataReader, width: int) -> None:
    reader.push(int.from_bytes(reader.take(reader.size(width)), "little", signed=True))


def _float(reader: DataReader) -> None:
    reader.push(_float_of(reader.take(8))[0])


def _text(reader: DataReader, width: int) -> None:
    reader.push(reader.take(reader.size(width)).decode("utf-8", "surrogatepass"))


def _bytes(reader: DataReader, width: int) -> None:
    reader.push(reader.take(reader.size(width)))


def _tuple(reader: DataReader) -> None:
    reader.push(reader.pop_arguments(reader.pop_some()))


def _short_tuple(reader: DataReader, count: int) -> None:
    reader.push(reader.pop_arguments([reader.pop() for _ in range(count)][::-1]))


def _append(reader: DataReader) -> None:
    value = reader.pop_value()
    reader.top_of(_LISTS).append(value)


def _appends(reader: DataReader) -> None:
    values = reader.pop_values()
    reader.top_of(_LISTS).extend(values)


def _set_item(reader: DataReader) -> None:
    value, key = reader.pop_value(), reader.pop_value()
    reader.top_of(_DICTS)[checked_key(key)] = value


def _set_items(reader: DataReader) -> None:
    found = reader.pop_values()
    target = reader.top_of(_DICTS)
    for key, value in zip(found[::2], found[1::2], strict=True):
        target[checked_key(key)] = value


def _add_items(reader: DataReader) -> None:
    found = reader.pop_values()
    reader.top_of((set,)).update(map(checked_key, found))


def _frozen_set(reader: DataReader) -> None:
    reader.push(frozenset(map(checked_key, reader.pop_values())))


def _get(reader: DataReader, width: int) -> None:
    reader.push(reader.memo[reader.size(width)])


def _put(reader: DataReader, index: int) -> None:
    value = reader.stack[-1]
    reader.memo[index] = value
    if isinstance(value, Unfinished):
        value.places.append(index)


def _memoize(reader: DataReader) -> None:
    _put(reader, len(reader.memo))


def _name(reader: DataReader, module: Any, name: Any) -> None:
    builder = BUILDERS.get((module, name))
    if builder is None:
        _refuse(f"{module}.{name}"[:200])
    reader.has_names = True
    reader.push(builder)


def _stack_name(reader: DataReader) -> None:
    name, module = reader.pop_value(), reader.pop_value()
    _name(reader, module, name)


def _call(reader: DataReader) -> None:
    arguments, builder = reader.pop(), reader.pop()
    if not isinstance(builder, Builder) or type(arguments) not in {tuple, _Arguments}:
        _refuse("a call of what is no name")
    reader.push(builder.build(*arguments))


def _build(reader: DataReader) -> None:
    state, unfinished = reader.pop_value(), reader.pop()
    if not isinstance(unfinished, Unfinished):
        _refuse(f"a state of its own for a {type(unfinished).__name__}")
    value = unfinished.finish(state)
    for index in unfinished.places:
        reader.memo[index] = value
    reader.push(value)


_Action = Callable[[DataReader], object]


def _sized(action: Callable[[DataReader, int], object], size: int) -> _Action:
    return lambda reader: action(reader, size)


def _pushes(make: Callable[[], Any]) -> _Action:
    return lambda reader: reader.push(make())


_BY_OPCODE: Final[dict[bytes, _Action]] = {
    pickle.PROTO: _sized(DataReader.take, 1),
    pickle.FRAME: _sized(DataReader.take, 8),
    pickle.STOP: _stop,
    pickle.MARK: _mark,
    pickle.POP: _drop,
    pickle.POP_MARK: DataReader.pop_some,
    pickle.NONE: _pushes(lambda: None),
    pickle.NEWTRUE: _pushes(lambda: True),
    pickle.NEWFALSE: _pushes(lambda: False),
    pickle.BININT: lambda reader: reader.push(int.from_bytes(reader.take(4), "little", signed=True)),
    pickle.BININT1: lambda reader: reader.push(reader.size(1)),
    pickle.BININT2: lambda reader: reader.push(reader.size(2)),
    pickle.LONG1: _sized(_long, 1),
    pickle.LONG4: _sized(_long, 4),
    pickle.BINFLOAT: _float,
    pickle.SHORT_BINUNICODE: _sized(_text, 1),
    pickle.BINUNICODE: _sized(_text, 4),
    pickle.BINUNICODE8: _sized(_text, 8),
    pickle.SHORT_BINBYTES: _sized(_bytes, 1),
    pickle.BINBYTES: _sized(_bytes, 4),
    pickle.BINBYTES8: _sized(_bytes, 8),
    pickle.BYTEARRAY8: lambda reader: reader.push(bytearray(reader.take(reader.size(8)))),
    pickle.EMPTY_TUPLE: _pushes(tuple),
    pickle.TUPLE: _tuple,
    pickle.TUPLE1: _sized(_short_tuple, 1),
    pickle.TUPLE2: _sized(_short_tuple, 2),
    pickle.TUPLE3: _sized(_short_tuple, 3),
    pickle.EMPTY_LIST: _pushes(list),
    pickle.APPEND: _append,
    pickle.APPENDS: _appends,
    pickle.EMPTY_DICT: _pushes(dict),
    pickle.SETITEM: _set_item,
    pickle.SETITEMS: _set_items,
    pickle.EMPTY_SET: _pushes(set),
    pickle.ADDITEMS: _add_items,
    pickle.FROZENSET: _frozen_set,
    pickle.BINGET: _sized(_get, 1),
    pickle.LONG_BINGET: _sized(_get, 4),
    pickle.BINPUT: lambda reader: _put(reader, reader.size(1)),
    pickle.LONG_BINPUT: lambda reader: _put(reader, reader.size(4)),
    pickle.MEMOIZE: _memoize,
    pickle.GLOBAL: lambda reader: _name(reader, reader.line(), reader.line()),
    pickle.STACK_GLOBAL: _stack_name,
    pickle.REDUCE: _call,
    pickle.NEWOBJ: _call,
    pickle.BUILD: _build,
}
_ACTIONS: Final = {opcode[0]: action for opcode, action in _BY_OPCODE.items()}
