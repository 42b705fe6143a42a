"""Results that the service does not take: their values stay on the endpoint, and something else is told."""

from __future__ import annotations

import msgspec

from funcx_core.cells.spec import LAST_VALUE, CellOutcome, outcome_decoder
from funcx_core.errors import ChecksumMismatch, FuncxError, NotFound, RemoteProtocolError, ValueNotKept
from funcx_core.protocol.blob import BlobReference
from funcx_core.protocol.codec import encode
from funcx_core.protocol.task import TaskError, TaskResult, TaskState
from funcx_endpoint.if_refused import WHOLE_OUTCOME, IfRefused, how_to_get, if_refused_decoder
from funcx_endpoint.kept import KeptFolder, KeptKey, Manner
from funcx_endpoint.large import LargeFolder


class Refusals:
    """Decides what becomes of results that are refused. The methods read and link files: call them from a thread.

    `kept`: where values stay; None if none do.
    """

    def __init__(self, folder: LargeFolder, kept: KeptFolder | None) -> None:
        self._folder = folder
        self._kept = kept

    def may_stay(self, reference: BlobReference) -> bool:
        """Whether the value can be kept here, so that it need not be tried again and again."""
        return self._kept is not None and bool(self._folder.if_refused(reference.blob_id))

    def told_instead(self, result: TaskResult, reference: BlobReference, error: FuncxError | str) -> TaskResult:
        """Keep the value if that is possible, and return what is told: of a cell that it has succeeded, of a function that it failed."""
        reason = str(error)
        if isinstance(error, str | NotFound | ChecksumMismatch):  # There is no value, or nobody who waits for it.
            return _failed(result, reference, reason)
        try:
            beside = if_refused_decoder.decode(self._folder.if_refused(reference.blob_id))
            return self._kept_instead(result, reference, reason, beside)
        except (
            RemoteProtocolError
        ):  # Nothing is beside it: a worker of an earlier version wrote it, or the task keeps nothing here.
            return _failed(result, reference, reason)
        except (ValueNotKept, OSError) as fault:
            return _failed(result, reference, f"{reason} It cannot be kept on the endpoint either: {fault}")

    def _kept_instead(self, result: TaskResult, reference: BlobReference, reason: str, beside: IfRefused) -> TaskResult:
        path = self._folder.result(reference.blob_id)
        if self._kept is None:
            return _failed(result, reference, reason)
        if not beside.outcome:
            self._kept.adopt(path, KeptKey(beside.owner, result.task_id, LAST_VALUE), Manner.SPARE)
            return _failed(result, reference, f"{reason} {how_to_get(result.task_id, self._kept.lifetime)}", kept=True)
        from funcx_core.serialize import pack_value  # noqa: PLC0415 - agents pack nothing else

        self._kept.adopt(path, KeptKey(beside.owner, result.task_id, WHOLE_OUTCOME), Manner.ASKED)
        outcome = _with_reason(outcome_decoder.decode(beside.outcome), reason)
        return msgspec.structs.replace(result, value=pack_value(encode(outcome)))


def _with_reason(outcome: CellOutcome, reason: str) -> CellOutcome:
    kept = [
        msgspec.structs.replace(facts, refused=reason) if facts.name in outcome.names else facts
        for facts in outcome.kept
    ]
    return msgspec.structs.replace(outcome, kept=kept, names=[])


def _failed(result: TaskResult, reference: BlobReference, reason: str, *, kept: bool = False) -> TaskResult:
    error = TaskError(
        code="result_too_large",
        message=f"The function's value has {reference.size:,} bytes, and the service does not take it. {reason}",
        details={"size": reference.size, "cause": reason, **({"kept": True} if kept else {})},
    )
    return TaskResult(result.task_id, result.attempt, TaskState.FAILED, b"", error, result.times)
