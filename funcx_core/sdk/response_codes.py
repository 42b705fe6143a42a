"""The codes of errors under the names that releases before 0.3.6 compared."""

from __future__ import annotations

from enum import StrEnum


class ResponseErrorCode(StrEnum):
    """Names of codes: ``error.code == ResponseErrorCode.INVALID_UUID``. Where one code of ours has several names, all are it."""

    UNKNOWN_ERROR = "unknown_error"
    USER_UNAUTHENTICATED = "user_unauthenticated"
    INVALID_AUTH_TOKEN = "user_unauthenticated"  # noqa: S105 - an alias
    FUNCTION_NOT_FOUND = "function_not_found"
    ENDPOINT_NOT_FOUND = "endpoint_not_found"
    CONTAINER_NOT_FOUND = "container_not_found"
    TASK_NOT_FOUND = "task_not_found"
    TASK_GROUP_NOT_FOUND = "task_group_not_found"
    FUNCTION_ACCESS_FORBIDDEN = "permission_denied"
    ENDPOINT_ACCESS_FORBIDDEN = "permission_denied"
    FUNCTION_NOT_PERMITTED = "permission_denied"
    TASK_GROUP_ACCESS_FORBIDDEN = "permission_denied"
    INSUFFICIENT_AUTH_SCOPE = "permission_denied"
    ENDPOINT_ALREADY_REGISTERED = "resource_conflict"
    RESOURCE_CONFLICT = "resource_conflict"
    REQUEST_MALFORMED = "request_malformed"
    REQUEST_KEY_ERROR = "request_malformed"
    INVALID_UUID = "invalid_uuid"
    INTERNAL_ERROR = "internal_error"
    TASK_PAYLOAD_TOO_LARGE = "task_payload_too_large"
