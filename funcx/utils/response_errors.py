"""Errors that the service reports, where releases before 0.3.6 had them."""

from funcx_core.errors import FuncxError as FuncxResponseError
from funcx_core.sdk.response_codes import ResponseErrorCode

__all__ = ["FuncxResponseError", "ResponseErrorCode"]
