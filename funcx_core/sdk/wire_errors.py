"""Errors that the service reports, as the exceptions they are."""

from __future__ import annotations

from typing import Any, Final

from funcx_core.errors import FuncxError, TryAgainLater, UsageError, error_class

# Published services have a number for each of theirs; ours also sends the name.
_NAMES_BY_NUMBER: Final = {
    1: "user_unauthenticated",
    3: "function_not_found",
    4: "endpoint_not_found",
    6: "task_not_found",
    8: "permission_denied",
    9: "permission_denied",
    10: "permission_denied",
    17: "request_malformed",
    20: "task_group_not_found",
    21: "permission_denied",
    22: "invalid_uuid",
    23: "user_unauthenticated",
    24: "permission_denied",
    26: "resource_conflict",
    28: "task_payload_too_large",
}
_BY_STATUS: Final = {401: "user_unauthenticated", 403: "permission_denied", 404: "not_found", 409: "resource_conflict"}
_SERVER_FAULT: Final = 500
_TOO_MANY: Final = 429


def error_from_wire(code: str, message: str, **fields: Any) -> FuncxError:
    """Return the error of class `code`; `str()` of it is `message`."""
    cls = error_class(code)
    error = cls.__new__(cls)  # The constructors of some classes write the message themselves.
    Exception.__init__(error, message)
    if isinstance(error, TryAgainLater):
        fields.setdefault("retry_after", None)
    error.__dict__.update(fields)
    return error


def error_from_response(status: int, body: dict[str, Any], *, retry_after: float | None = None) -> FuncxError:
    """Return the error that an HTTP response reports."""
    code = body.get("name") or _NAMES_BY_NUMBER.get(body.get("code", -1)) or _code_of(status)
    message = str(body.get("message") or body.get("reason") or f"The service answered {status}.")
    error = error_from_wire(str(code), message, http_status=status)
    if isinstance(error, TryAgainLater):
        error.retry_after = retry_after
    elif type(error) is FuncxError and status < _SERVER_FAULT:
        error = UsageError(message)
    return error


def _code_of(status: int) -> str:
    if status == _TOO_MANY:
        return "rate_limited"
    return _BY_STATUS.get(status, "service_unavailable" if status >= _SERVER_FAULT else "usage_error")
