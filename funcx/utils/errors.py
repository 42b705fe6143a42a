"""Errors, where releases before 1.0 had them."""

from funcx.errors import (
    FuncxError,
    FuncXUnreachable,
    MalformedResponse,
    MaxResultSizeExceeded,
    RegistrationError,
    SerializationError,
    TaskPending,
    VersionMismatch,
)

__all__ = [
    "FuncXUnreachable",
    "FuncxError",
    "MalformedResponse",
    "MaxResultSizeExceeded",
    "RegistrationError",
    "SerializationError",
    "TaskPending",
    "VersionMismatch",
]
