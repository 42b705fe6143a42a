"""The public names, and what importing them costs."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

NAMES = {
    "funcx": {"FuncXClient", "FuncXExecutor", "FuncxAPIError", "__version__"},
    "funcx.errors": {"FuncXUnreachable", "FuncxError", "MalformedResponse", "RegistrationError", "TaskPending"},
    "funcx.sdk.batch": {"Batch"},
    "funcx.sdk.client": {"FuncXClient"},
    "funcx.sdk.executor": {"FuncXExecutor"},
    "funcx.sdk.utils.futures": {"FuncXFuture"},
    "funcx.sdk.utils.throttling": {"MaxRequestSizeExceeded", "MaxRequestsExceeded"},
    "funcx.sdk.version": {"VERSION"},
    "funcx.serialize": {"FuncXSerializer"},
    "funcx.serialize.base": {"DeserializationError", "SerializerError"},
    "funcx.serialize.facade": {"FuncXSerializer"},
    "funcx.utils.errors": {"TaskPending", "MaxResultSizeExceeded"},
    "funcx.version": {"VERSION"},
}


@pytest.mark.parametrize("module", NAMES)
def test_a_documented_module_has_its_documented_names(module):
    found = importlib.import_module(module)
    assert NAMES[module] <= set(found.__all__)
    assert all(hasattr(found, name) for name in found.__all__)


def test_the_client_has_the_documented_methods():
    from funcx import FuncXClient

    documented = {
        "batch_run", "cancel_task", "create_batch", "get_batch_result", "get_batch_status", "get_endpoint_status",
        "get_endpoints", "get_result", "get_task", "get_task_status", "logout", "map_run", "register_endpoint",
        "register_function", "run", "version_check",
    }  # fmt: skip
    assert documented <= set(dir(FuncXClient))


def test_an_api_error_has_the_documented_attributes():
    from funcx import FuncxAPIError
    from funcx_core.errors import InvalidId

    error = InvalidId("x")
    assert isinstance(error, FuncxAPIError)
    assert (error.code_name, error.http_status) == ("invalid_uuid", 400)


HEAVY = ["IPython", "asyncio", "dill", "globus_sdk", "ipywidgets", "numpy", "parsl", "sqlalchemy", "tornado", "zmq"]


def test_importing_funcx_is_cheap():
    script = f"""
import sys, time
started = time.process_time()
import funcx
spent = time.process_time() - started
print(spent, [name for name in {HEAVY} if name in sys.modules])
"""
    tries = [
        subprocess.run(
            [sys.executable, "-c", script], check=True, capture_output=True, text=True, timeout=30
        ).stdout.split(" ", 1)
        for _ in range(2)
    ]
    assert {loaded.strip() for _, loaded in tries} == {"[]"}
    assert min(float(spent) for spent, _ in tries) < 0.35
