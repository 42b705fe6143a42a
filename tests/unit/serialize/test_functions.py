"""Functions: source if it stands alone, else by value; always the same behaviour on the other side."""

from __future__ import annotations

import functools
import math
import subprocess
import sys
import threading
import traceback

import pytest

from funcx_core.errors import DeserializationError, SerializationError
from funcx_core.serialize import FuncXSerializer, PackedFunction, pack_function, unpack_function
from funcx_core.serialize.source import load_source

FACTOR = 3


def plain(x, y=2, *rest, z=1, **more):
    """Text."""
    return x + y + z + len(rest) + len(more)


def recursive(n):
    return 1 if n < 2 else n * recursive(n - 1)


def importing(x):
    import math

    return math.sqrt(x)


def with_inner(x):
    def inner(y):
        return [y * n for n in range(x)]

    return inner(2)


def generator(n):
    yield from range(n)


async def coroutine(x):
    return x


def annotated(x: DoesNotExist, y: AlsoNot = 1) -> Nowhere:  # noqa: F821
    return x + y


def uses_global(x):
    return helper(x) * FACTOR


def uses_module(x):
    return math.sqrt(x)


def helper(x):
    return x + 1


def decorate(function):
    @functools.wraps(function)
    def wrapper(*args):
        return function(*args) * 10

    return wrapper


@decorate
def decorated(x):
    return x + 1


def default_from_global(x, y=FACTOR):
    return x + y


def make_closure(n):
    def closed(x):
        return x + n

    return closed


class Model:
    def __init__(self, n):
        self.n = n

    def method(self, x):
        return self.n + x

    @staticmethod
    def static(x):
        return x + 1

    @classmethod
    def of_class(cls, x):
        return cls(x).n

    def __call__(self, x):
        return self.n * x


def method_of(packed):
    return packed.split(b"\n")[1].decode()


SOURCE = "04"
VALUE = "01"
CORPUS = [
    (plain, (1, 2, 3), SOURCE),
    (recursive, (5,), SOURCE),
    (importing, (4,), SOURCE),
    (with_inner, (3,), SOURCE),
    (annotated, (1,), SOURCE),
    (default_from_global, (1,), VALUE),
    (uses_global, (1,), VALUE),
    (uses_module, (4,), VALUE),
    (decorated, (1,), VALUE),
    (make_closure(5), (1,), VALUE),
    (lambda x: x + 1, (1,), VALUE),
    (Model(2).method, (1,), VALUE),
    (Model.static, (1,), VALUE),
    (Model.of_class, (7,), VALUE),
    (Model(3), (4,), VALUE),
    (functools.partial(plain, 1), (1,), VALUE),
    (math.hypot, (3, 4), VALUE),
    (len, ([1],), VALUE),
    (sorted, ([2, 1],), VALUE),
    (int, ("3",), VALUE),
]


@pytest.mark.parametrize(("function", "args", "method"), CORPUS)
def test_a_function_behaves_the_same_here(function, args, method):
    body = pack_function(function)
    assert method_of(body) == method
    assert unpack_function(body)(*args) == function(*args)


WORKER = """
import pickle, sys
from funcx_core.serialize import unpack_function
print([unpack_function(body)(*args) for body, args in pickle.load(sys.stdin.buffer)])
"""


def test_all_functions_behave_the_same_in_a_process_that_has_none_of_this_code():
    import pickle

    packed = pickle.dumps([(pack_function(function), args) for function, args, _ in CORPUS])
    done = subprocess.run(
        [sys.executable, "-c", WORKER], input=packed, check=False, capture_output=True, timeout=60, cwd="/"
    )
    assert done.stdout.decode().strip() == str([function(*args) for function, args, _ in CORPUS]), done.stderr.decode()


def test_generators_and_coroutines_stay_what_they_are():
    import asyncio

    assert list(unpack_function(pack_function(generator))(3)) == [0, 1, 2]
    assert asyncio.run(unpack_function(pack_function(coroutine))(4)) == 4


def test_a_nested_function_without_closure_goes_as_source():
    def nested(x):
        return x + 1

    body = pack_function(nested)
    assert (method_of(body), unpack_function(body)(1)) == (SOURCE, 2)


def test_a_function_whose_file_was_edited_goes_as_it_was_loaded(tmp_path):
    import linecache

    path = tmp_path / "edited.py"
    path.write_text("def f():\n    return 'old'\n")
    namespace = {}
    exec(compile(path.read_text(), str(path), "exec"), namespace)
    path.write_text("def f():\n    return 'new'\n")
    linecache.checkcache(str(path))
    assert unpack_function(pack_function(namespace["f"]))() == "old"


def test_a_function_without_source_goes_by_value():
    namespace = {}
    exec("def f(x):\n    return x * 2", namespace)
    body = pack_function(namespace["f"])
    assert (method_of(body), unpack_function(body)(4)) == (VALUE, 8)


def test_a_notebook_function_is_found_through_linecache():
    import linecache

    text = "\n\ndef f(x):\n    raise KeyError(x)\n"
    linecache.cache["<ipython-input-7-abc>"] = (
        len(text),
        None,
        text.splitlines(keepends=True),
        "<ipython-input-7-abc>",
    )
    namespace = {}
    exec(compile(text, "<ipython-input-7-abc>", "exec"), namespace)
    body = pack_function(namespace["f"])
    del linecache.cache["<ipython-input-7-abc>"]
    assert method_of(body) == SOURCE
    with pytest.raises(KeyError) as raised:
        unpack_function(body)(1)
    frame = traceback.extract_tb(raised.tb)[-1]
    assert (frame.filename, frame.lineno, frame.line) == ("<ipython-input-7-abc>", 4, "raise KeyError(x)")


def test_tracebacks_of_a_sent_function_name_its_own_file_and_line():
    function = unpack_function(pack_function(importing))
    assert function.__code__.co_filename == __file__
    assert function.__code__.co_firstlineno == importing.__code__.co_firstlineno


def test_a_function_that_cannot_be_sent_is_named_with_what_to_do():
    lock = threading.Lock()

    def locked():
        return lock

    with pytest.raises(SerializationError, match=r"Function 'locked' cannot be sent.*inside it") as raised:
        pack_function(locked)
    assert raised.value.code == "serialization_error"


def test_what_cannot_be_called_is_refused():
    with pytest.raises(SerializationError, match="cannot be called"):
        pack_function(3)


def test_a_function_in_source_form_stays_current():
    assert PackedFunction(plain).is_current()


def test_a_function_is_packed_anew_when_a_global_it_uses_was_assigned():
    namespace = {}
    exec("n = 1\ndef f():\n    return n", namespace)
    packed = PackedFunction(namespace["f"])
    assert packed.is_current()
    namespace["n"] = 2
    assert not packed.is_current()


def test_a_function_is_packed_anew_when_what_it_uses_may_have_changed_inside():
    namespace = {"items": [1]}
    exec("def f():\n    return items", namespace)
    assert not PackedFunction(namespace["f"]).is_current()


def test_a_function_is_packed_anew_when_a_function_it_calls_was_redefined():
    namespace = {}
    exec("def g():\n    return 1\ndef f():\n    return g()", namespace)
    packed = PackedFunction(namespace["f"])
    assert packed.is_current()
    exec("def g():\n    return 2", namespace)
    assert not packed.is_current()


@pytest.mark.parametrize("body", [b"", b"\xff", b"4\n11\n3", b"1\nx", b"7\n99\nabcd"])
def test_a_body_that_holds_no_function_is_refused(body):
    with pytest.raises(DeserializationError):
        unpack_function(body)


def test_source_that_does_not_define_the_function_is_refused():
    with pytest.raises(DeserializationError, match="does not define"):
        load_source("f", "g = 1")
    with pytest.raises(DeserializationError, match="does not compile"):
        load_source("f", "def f(:")


@pytest.mark.parametrize("method", ["04", "03", "01", "10"])
def test_every_method_of_the_facade_is_read_back(method):
    serializer = FuncXSerializer(method)
    buffer = serializer.serialize(recursive)
    assert buffer[:3] == f"{method}\n"
    assert serializer.deserialize(buffer)(4) == 24


def test_other_published_forms_of_functions_are_read():
    import codecs
    import pickle

    def text(identifier, value):
        return f"{identifier}\n" + codecs.encode(pickle.dumps(value, 4), "base64").decode()

    source = "def f(x):\n    return x + 1\n"
    serializer = FuncXSerializer()
    combined = serializer.pack_buffers(["99\nunknown", text("03", ("f", source))])
    assert serializer.deserialize("st\nf:" + source)(1) == 2
    assert serializer.deserialize("sd\nf:" + source)(1) == 2
    assert serializer.deserialize(text("02", math.sqrt))(4) == 2
    assert serializer.deserialize("12\n" + combined)(1) == 2
    assert serializer.deserialize("11\n[1]") == [1]


def test_the_facade_packs_and_unpacks():
    serializer = FuncXSerializer()
    packed = serializer.pack_buffers(
        [serializer.serialize(("ü", 1)), serializer.serialize({"a": 1}), serializer.serialize(plain)]
    )
    assert serializer.unpack_buffers(packed)[0].startswith("00\n")
    args, kwargs, function = serializer.unpack_and_deserialize(packed)
    assert (args, kwargs, function(1)) == (("ü", 1), {"a": 1}, 4)
