"""A function is tried in a clean interpreter before it is registered, when that is asked for."""

from __future__ import annotations

import sys
import threading

import pytest

from funcx_core.errors import SerializationError
from funcx_core.sdk.client import FuncXClient
from funcx_core.serialize import PackedFunction, pack_function
from funcx_core.serialize.offprocess import FunctionMayFail, check_loads
from tests.unit.sdk.fake_service import TOKEN, FakeService

FACTOR = 3


def plain(x):
    import math

    return math.sqrt(x) * FACTOR


def with_unknown_import(x):
    import a_module_that_nobody_has

    return a_module_that_nobody_has.f(x)


def with_unknown_name(x):
    return not_defined_anywhere + x  # noqa: F821


def check(function, **options):
    packed = PackedFunction(function)
    check_loads(packed.name, packed.body, **options)


@pytest.fixture
def local_module(tmp_path, monkeypatch):
    (tmp_path / "my_local_helpers.py").write_text("def helper(x):\n    return x + 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    import my_local_helpers

    yield my_local_helpers
    del sys.modules["my_local_helpers"]


def test_a_function_that_loads_passes():
    check(plain)
    check(lambda x: x + FACTOR)


def test_a_module_that_only_this_process_has_is_named(local_module):
    namespace = {"my_local_helpers": local_module}
    exec("def uses_module(x):\n    return my_local_helpers.helper(x)", namespace)
    with pytest.raises(SerializationError, match=r"needs the module 'my_local_helpers'.*`from my_local_helpers import"):
        check(namespace["uses_module"])


def test_functions_of_a_local_module_travel_along(local_module):
    namespace = {"helper": local_module.helper}
    exec("def uses_function(x):\n    return helper(x)", namespace)
    check(namespace["uses_function"])


def test_an_import_that_nobody_has_is_warned_of():
    with pytest.warns(FunctionMayFail, match="imports 'a_module_that_nobody_has'"):
        check(with_unknown_import)


def test_a_name_that_nothing_defines_is_warned_of():
    with pytest.warns(FunctionMayFail, match="`not_defined_anywhere`, which nothing defines"):
        check(with_unknown_name)


class Ends:
    """Ends whatever process loads it, but this one."""

    def __reduce__(self):
        import os

        return eval, (f"__import__('os').getpid() == {os.getpid()} or __import__('os')._exit(3)",)


def closing_over(value):
    def function():
        return value

    return function


def test_a_function_that_ends_the_python_that_loads_it_is_refused():
    with pytest.raises(SerializationError, match="exit code 3"):
        check(closing_over(Ends()))


class Sleeps:
    def __reduce__(self):
        import os

        return eval, (f"__import__('os').getpid() == {os.getpid()} or __import__('time').sleep(60)",)


def test_a_function_that_takes_too_long_is_refused():
    with pytest.raises(SerializationError, match=r"within 1 s.*into the function"):
        check(closing_over(Sleeps()), timeout=1)


def test_the_global_that_cannot_be_sent_is_named():
    namespace = {"__name__": "__main__", "LOCK": threading.Lock()}
    exec("def uses_a_lock():\n    with LOCK:\n        return 1", namespace)
    with pytest.raises(SerializationError, match=r"the global `LOCK` \(_thread.lock\)"):
        pack_function(namespace["uses_a_lock"])


def test_the_variable_of_a_closure_that_cannot_be_sent_is_named_with_its_part():
    with pytest.raises(SerializationError, match=r"the variable `value`\['lock'\] \(_thread.lock\)"):
        pack_function(closing_over({"lock": threading.Lock()}))


def test_the_client_checks_when_asked(local_module):
    namespace = {"my_local_helpers": local_module}
    exec("def uses_module(x):\n    return my_local_helpers.helper(x)", namespace)
    with FakeService() as service:
        address = service.settings.service_address
        with FuncXClient(funcx_service_address=address, token=TOKEN, use_offprocess_checker=True) as client:
            with pytest.raises(SerializationError, match="my_local_helpers"):
                client.register_function(namespace["uses_module"])
            assert client.register_function(plain)
        with FuncXClient(funcx_service_address=address, token=TOKEN) as client:
            assert client.register_function(namespace["uses_module"])
