"""The public names, and what importing them costs."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys

import pytest

NAMES = {
    "funcx": {
        "FuncXClient",
        "FuncXExecutor",
        "FuncXFuture",
        "FuncxAPIError",
        "MPIFunction",
        "ShellFunction",
        "ShellResult",
        "__version__",
        "get_grid",
        "grid",
        "map",
        "progress",
        "provenance",
        "set_file_logger",
        "set_stream_logger",
    },
    "funcx.config": {"Config"},
    "funcx.errors": {"FuncXUnreachable", "FuncxError", "MalformedResponse", "RegistrationError", "TaskPending"},
    "funcx.sdk.asynchronous.funcx_future": {"FuncXFuture"},
    "funcx.sdk.asynchronous.funcx_task": {"FuncXTask"},
    "funcx.sdk.batch": {"Batch"},
    "funcx.sdk.client": {"FuncXClient"},
    "funcx.sdk.errors": {"FuncxAPIError"},
    "funcx.sdk.executor": {"FuncXExecutor", "FuncXFuture"},
    "funcx.sdk.login_manager": {"FuncxScopes", "LoginManager", "LoginManagerProtocol"},
    "funcx.sdk.search": {"FunctionSearchResults"},
    "funcx.sdk.throttling": {"MaxRequestSizeExceeded", "MaxRequestsExceeded"},
    "funcx.sdk.utils.batch": {"Batch"},
    "funcx.sdk.utils.futures": {"FuncXFuture"},
    "funcx.sdk.utils.throttling": {
        "MaxRequestSizeExceeded",
        "MaxRequestsExceeded",
        "ThrottledBaseClient",
        "ThrottlingException",
    },
    "funcx.sdk.version": {"VERSION"},
    "funcx.sdk.web_client": {"FuncxWebClient"},
    "funcx.serialize": {"FuncXSerializer"},
    "funcx.serialize.base": {"DeserializationError", "SerializerError"},
    "funcx.serialize.facade": {"FuncXSerializer"},
    "funcx.utils.errors": {"TaskPending", "MaxResultSizeExceeded"},
    "funcx.utils.response_errors": {"FuncxResponseError", "ResponseErrorCode"},
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
        "add_to_whitelist", "batch_run", "cancel_task", "create_batch", "delete_from_whitelist", "get_batch_result",
        "get_batch_status", "get_container", "get_containers", "get_endpoint_status", "get_endpoints", "get_result",
        "get_result_amqp_url", "get_task", "get_task_status", "get_whitelist", "lock_endpoint", "logout", "map_run",
        "register_container", "register_endpoint", "register_function", "run", "search_function", "stop_endpoint",
        "throttle_max_requests", "throttle_request_size", "throttling_enabled", "user_app_name", "version_check",
    }  # fmt: skip
    assert documented <= set(dir(FuncXClient))


def test_the_executor_has_the_documented_methods():
    from funcx import FuncXExecutor, FuncXFuture

    documented = {
        "container_id", "endpoint_id", "map", "register_function", "reload_tasks", "shutdown", "submit",
        "submit_to_registered_function", "task_count_submitted", "task_group_id",
    }  # fmt: skip
    assert documented <= set(dir(FuncXExecutor))
    assert {"best_effort_cancel", "task_id", "task_group_id"} <= set(dir(FuncXFuture))


def positional(function):
    """Return the names of the arguments that may be given by position, without self."""
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [name for name, found in inspect.signature(function).parameters.items() if found.kind in kinds][1:]


def test_the_order_of_positional_arguments_is_that_of_1_0_6():
    from funcx import FuncXClient, FuncXExecutor
    from funcx.sdk.batch import Batch

    assert positional(FuncXClient.__init__) == [
        "http_timeout", "funcx_home", "asynchronous", "loop", "environment", "funcx_service_address", "results_ws_uri",
        "warn_about_url_mismatch", "task_group_id", "do_version_check", "openid_authorizer", "search_authorizer",
        "fx_authorizer",
    ]  # fmt: skip
    assert positional(FuncXExecutor.__init__)[:6] == [
        "endpoint_id", "container_id", "funcx_client", "task_group_id", "label", "batch_size",
    ]  # fmt: skip
    assert positional(FuncXClient.register_function)[:7] == [
        "function", "function_name", "container_uuid", "description", "public", "group", "searchable",
    ]  # fmt: skip
    assert positional(FuncXClient.register_endpoint)[:4] == ["name", "endpoint_id", "metadata", "endpoint_version"]
    assert positional(FuncXClient.search_function) == ["q", "offset", "limit", "advanced"]
    assert positional(FuncXClient.register_container) == ["location", "container_type", "name", "description"]
    assert positional(FuncXClient.create_batch) == ["task_group_id", "create_websocket_queue"]
    assert positional(Batch.__init__) == ["task_group_id", "create_websocket_queue"]
    assert positional(FuncXExecutor.register_function) == ["fn", "function_id"]
    assert positional(FuncXExecutor.submit_to_registered_function) == ["function_id", "args", "kwargs"]


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


def test_codes_are_compared_as_before_0_3_6():
    from funcx.utils.response_errors import FuncxResponseError, ResponseErrorCode
    from funcx_core import errors

    with pytest.raises(FuncxResponseError) as raised:
        raise errors.InvalidId("x")
    assert raised.value.code == ResponseErrorCode.INVALID_UUID
    assert errors.PermissionDenied.code == ResponseErrorCode.ENDPOINT_ACCESS_FORBIDDEN
    classes = [cls for cls in vars(errors).values() if isinstance(cls, type) and issubclass(cls, errors.FuncxError)]
    known = {cls.code for cls in classes} | {"internal_error", "container_not_found"}
    assert {str(code) for code in ResponseErrorCode} <= known
