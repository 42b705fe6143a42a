"""Errors that the service reports, as the exceptions they are."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from funcx_core.errors import (
    BatchTooLarge,
    EndpointAlreadyRegistered,
    FunctionNotPermitted,
    FuncxError,
    InvalidId,
    NotFound,
    NotPlainData,
    PayloadTooLarge,
    ResourceLocked,
    TaskFailed,
    TaskPending,
    TryAgainLater,
    UsageError,
    error_class,
)

_UNKNOWN: Final[dict[type[FuncxError], dict[str, Any]]] = {
    InvalidId: {"text": ""},
    NotFound: {"name": ""},
    NotPlainData: {"what": ""},
    PayloadTooLarge: {"size": 0, "limit": 0},
    BatchTooLarge: {"size": 0, "limit": 0},
    FunctionNotPermitted: {"function_id": "", "endpoint_id": ""},
    EndpointAlreadyRegistered: {"name": ""},
    ResourceLocked: {"endpoint_id": ""},
    TaskFailed: {"task_id": None, "details": {}},
    TryAgainLater: {"retry_after": None},
    TaskPending: {"reason": "unknown", "task_id": None},
}

# Published services have a number for each of theirs; ours also sends the name.
_NAMES_BY_NUMBER: Final = {
    1: "user_unauthenticated",
    3: "function_not_found",
    4: "endpoint_not_found",
    6: "task_not_found",
    8: "permission_denied",
    9: "permission_denied",
    10: "function_not_permitted",
    11: "endpoint_already_registered",
    17: "request_malformed",
    20: "task_group_not_found",
    21: "permission_denied",
    22: "invalid_uuid",
    23: "user_unauthenticated",
    24: "permission_denied",
    25: "resource_locked",
    26: "resource_conflict",
    27: "batch_run_too_large",
    28: "task_payload_too_large",
}
_NAMED: Final = frozenset({3, 4, 6, 20})
_BY_STATUS: Final = {401: "user_unauthenticated", 403: "permission_denied", 404: "not_found", 409: "resource_conflict"}
_SERVER_FAULT: Final = 500
_TOO_MANY: Final = 429


def error_from_wire(code: str, message: str, fields: Mapping[str, Any] = MappingProxyType({})) -> FuncxError:
    """Return the error of class `code` with these fields; `str()` of it is `message`.

    What its constructor would have set and the peer did not tell is there, too, and empty.
    """
    cls = error_class(code)
    error = cls.__new__(cls)  # The constructors of some classes write the message themselves.
    Exception.__init__(error, message)
    for base, unknown in _UNKNOWN.items():
        if isinstance(error, base):
            error.__dict__.update(copy.deepcopy(unknown))
    error.__dict__.update({name: value for name, value in fields.items() if not name.startswith("_")})
    return error


def error_from_response(status: int, body: dict[str, Any], *, retry_after: float | None = None) -> FuncxError:
    """Return the error that an HTTP response, or an item of one, reports."""
    code = body.get("name") or _NAMES_BY_NUMBER.get(body.get("code", -1)) or _code_of(status)
    message = str(body.get("message") or body.get("reason") or f"The service answered {status}.")
    error = error_from_wire(str(code), message, _fields(body))
    if type(error) is FuncxError and status < _SERVER_FAULT:
        error = UsageError(message)
    error.__dict__["http_status"] = status
    if isinstance(error, TryAgainLater) and error.retry_after is None:
        error.retry_after = body.get("retry_after") or retry_after
    return error


def _fields(body: dict[str, Any]) -> dict[str, Any]:
    fields = body.get("fields")
    if isinstance(fields, dict):
        return fields
    arguments = body.get("error_args")
    if body.get("code") in _NAMED and isinstance(arguments, list) and arguments:  # a service that is not ours
        return {"name": str(arguments[0])}
    return {}


def _code_of(status: int) -> str:
    if status == _TOO_MANY:
        return "rate_limited"
    return _BY_STATUS.get(status, "service_unavailable" if status >= _SERVER_FAULT else "usage_error")
