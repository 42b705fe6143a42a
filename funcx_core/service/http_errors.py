"""Errors as published clients read them: a number of their table, its arguments, and a text."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from funcx_core.errors import FuncxError, TryAgainLater, error_class

UNKNOWN: Final = 0
INTERNAL: Final = 18

_NUMBERS: Final[dict[str, int]] = {
    "user_unauthenticated": 1,
    "user_not_found": 2,
    "function_not_found": 3,
    "endpoint_not_found": 4,
    "container_not_found": 5,
    "task_not_found": 6,
    "auth_group_not_found": 7,
    "function_not_permitted": 10,
    "endpoint_already_registered": 11,
    "request_key_error": 16,
    "usage_error": 17,
    "request_malformed": 17,
    "internal_error": INTERNAL,
    "task_group_not_found": 20,
    "invalid_uuid": 22,
    "permission_denied": 24,
    "resource_locked": 25,
    "resource_conflict": 26,
    "batch_run_too_large": 27,
    "task_payload_too_large": 28,
}
_WITHOUT_ARGUMENTS: Final = frozenset({"user_unauthenticated", "task_payload_too_large", "batch_run_too_large"})
_ARGUMENTS: Final[dict[str, tuple[str, ...]]] = {
    "user_not_found": ("name",),
    "function_not_found": ("name",),
    "endpoint_not_found": ("name",),
    "endpoint_already_registered": ("name",),
    "container_not_found": ("name",),
    "task_not_found": ("name",),
    "auth_group_not_found": ("name",),
    "task_group_not_found": ("name",),
    "invalid_uuid": ("text",),
    "function_not_permitted": ("function_id", "endpoint_id"),
    "resource_locked": ("endpoint_id",),
}
"""Fields of ours from which published clients build the exceptions of their table; for all others it is the text."""


class ErrorBody(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The body of a response that is an error, and of an item that failed.

    `code` and `error_args` are for published clients, which build their exception classes from them; `name` is the stable
    code of ours and `fields` what else the error knows (a size and its limit, the name that was not found), from which our
    clients build theirs. `message` repeats `reason` for clients that look for it there.
    """

    status: str
    code: int
    error_args: list[Any]
    reason: str
    message: str
    http_status_code: int
    name: str
    fields: dict[str, Any] = {}
    retry_after: float | None = None
    task_uuid: str | None = None
    request_id: str | None = None


def error_body(error: FuncxError, *, task_uuid: str | None = None) -> ErrorBody:
    """Return the body for an error of ours."""
    return body_of_code(
        error.code,
        str(error),
        fields=error.fields,
        retry_after=error.retry_after if isinstance(error, TryAgainLater) else None,
        task_uuid=task_uuid,
    )


def body_of_code(
    name: str,
    text: str,
    *,
    fields: dict[str, Any] | None = None,
    http_status: int | None = None,
    retry_after: float | None = None,
    task_uuid: str | None = None,
) -> ErrorBody:
    """Return the body for an error of which only the code and the text are known."""
    return ErrorBody(
        status="Failed",
        code=_NUMBERS.get(name, UNKNOWN),
        error_args=_arguments(name, text, fields or {}),
        reason=text,
        message=text,
        http_status_code=http_status or error_class(name).http_status,
        name=name,
        fields=fields or {},
        retry_after=retry_after,
        task_uuid=task_uuid,
    )


def internal_error() -> ErrorBody:
    """Return the body for a fault of ours. What it was is in the log, not in the response."""
    return body_of_code("internal_error", "The service failed on this request; its log says why.", http_status=500)


def _arguments(name: str, text: str, fields: dict[str, Any]) -> list[Any]:
    if name in _WITHOUT_ARGUMENTS:
        return []
    wanted = _ARGUMENTS.get(name, ())
    return [fields[field] for field in wanted] if wanted and set(wanted) <= fields.keys() else [text]
