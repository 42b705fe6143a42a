"""Functions, arguments, results and exceptions as payloads. The only place that may unpickle."""

from funcx_core.errors import DeserializationError, SerializationError
from funcx_core.serialize.culprit import Culprit, find_culprit
from funcx_core.serialize.exceptions import describe_exception
from funcx_core.serialize.facade import FuncXSerializer
from funcx_core.serialize.functions import PackedFunction, pack_callable, pack_function, unpack_function
from funcx_core.serialize.offprocess import FunctionMayFail, check_loads
from funcx_core.serialize.rebuilt_errors import RemoteInfo, RemoteTraceback, rebuild_exception
from funcx_core.serialize.values import (
    is_calls,
    pack_call,
    pack_calls,
    pack_value,
    unpack_call,
    unpack_calls,
    unpack_value,
)

__all__ = [
    "Culprit",
    "DeserializationError",
    "FuncXSerializer",
    "FunctionMayFail",
    "PackedFunction",
    "RemoteInfo",
    "RemoteTraceback",
    "SerializationError",
    "check_loads",
    "describe_exception",
    "find_culprit",
    "is_calls",
    "pack_call",
    "pack_callable",
    "pack_calls",
    "pack_function",
    "pack_value",
    "rebuild_exception",
    "unpack_call",
    "unpack_calls",
    "unpack_function",
    "unpack_value",
]
