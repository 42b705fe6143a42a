"""Where large values meet tasks: arguments that go as a reference, and results that came as one."""

from __future__ import annotations

from pathlib import Path

import msgspec

from funcx_core.errors import NotFound, PayloadTooLarge, RemoteProtocolError
from funcx_core.protocol.blob import is_reference, read_reference
from funcx_core.protocol.client import Limits
from funcx_core.protocol.payload import VALUE
from funcx_core.protocol.task import TaskResult
from funcx_core.sdk.transfer import Transfer


def upload_arguments(transfer: Transfer, payload: bytes, limits: Limits) -> bytes:
    """Upload a payload that is over the limit of what travels with a task; return the reference that travels instead.

    Raises:
        PayloadTooLarge: it is over every limit of the service.
        FuncxError: the service does not take it, or does not answer.
    """
    if len(payload) > limits.max_blob:
        raise PayloadTooLarge(len(payload), max(limits.max_payload, limits.max_blob), "arguments")
    try:
        return transfer.upload(payload).to_payload()
    except NotFound:  # The service has no such route: it is of an earlier version.
        raise PayloadTooLarge(len(payload), limits.max_payload, "arguments") from None


def with_content(outcome: TaskResult, transfer: Transfer) -> TaskResult:
    """Return an outcome with its value, fetched if it came as a reference.

    Raises:
        TryAgainLater: the service does not answer; the value may be fetched later.
        FuncxError: it cannot be fetched at all.
    """
    if not is_reference(outcome.value):
        return outcome
    return msgspec.structs.replace(outcome, value=transfer.download(read_reference(outcome.value)))


def save_value(outcome: TaskResult, transfer: Transfer, path: Path) -> None:
    """Write the pickle of a task's value to a file, without holding it in memory if it is large.

    Raises:
        OSError: the file cannot be written.
        FuncxError: the value cannot be fetched.
    """
    if is_reference(outcome.value):
        transfer.download_to(read_reference(outcome.value), path, without=VALUE)
    elif outcome.value.startswith(VALUE):
        path.write_bytes(outcome.value[len(VALUE) :])
    else:
        raise RemoteProtocolError("This value came as text, as published workers write it. Use result().")
