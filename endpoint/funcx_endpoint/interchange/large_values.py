"""Large values between the endpoint's folder and the service: the agent's part, because only the agent reaches the service.

Arguments are fetched before their task is dealt; inputs of cells that are here from an earlier cell are not fetched again. A result is written to disk by its worker and journalled by the agent like any
other; it is sent to the service when its blob is there. Both go on until they succeed, or until the service says that they
never will; after a restart of the agent what the spool still has is uploaded from where it was.
"""

from __future__ import annotations

import asyncio
import logging
import mmap
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, Protocol

from funcx_core.errors import (
    AuthRequired,
    ConfigError,
    FuncxError,
    NotConfigured,
    RemoteProtocolError,
    StorageFull,
    TryAgainLater,
)
from funcx_core.ids import BlobId, TaskId
from funcx_core.protocol.blob import BlobReference, is_reference, read_reference, references_of
from funcx_core.protocol.task import Lease, Task, TaskError, TaskResult
from funcx_core.sdk.settings import load_settings
from funcx_core.sdk.transfer import Transfer
from funcx_endpoint.interchange.kept_inputs import KeptInputs
from funcx_endpoint.interchange.refused import Refusals
from funcx_endpoint.kept import KeptFolder
from funcx_endpoint.large import LargeFolder

_log = logging.getLogger(__name__)

AT_A_TIME: Final = 2
"""Transfers in each direction; each has several chunks under way."""
RETRY_SECONDS: Final = 5.0
"""Pause after a failure that somebody has to put right: no token, a full disk."""
FULL_SECONDS: Final = 30.0
"""How long a service whose disk is full is given before a value that can stay here does."""
KEEP_SECONDS: Final = 60.0
"""How long arguments that no task needs are kept: the next task may use them, too."""

STRAY_PERIOD: Final = 3600.0

_Key = tuple[TaskId, int]


class Handler(Protocol):
    """The agent, as far as large values concern it. All methods are called on its loop."""

    def argument_fetched(self, lease: Lease) -> None:
        """The arguments of this lease are here."""

    def argument_missing(self, lease: Lease, error: TaskError) -> None:
        """The arguments of this lease cannot be had."""

    def result_uploaded(self, result: TaskResult) -> None:
        """The service has the value of this result: it may be told."""

    def result_refused(self, result: TaskResult) -> None:
        """The service will not take the value; `result` is to be told in its place."""


class LargeValues:
    """The transfers of one agent; and it removes what has been `kept` for long enough. All methods belong to the agent's loop, except where a thread is named."""

    def __init__(
        self,
        folder: LargeFolder,
        handler: Handler,
        *,
        service_address: str | None,
        kept: KeptFolder | None = None,
        max_inputs: int = 0,
    ) -> None:
        self._folder = folder
        self._kept = kept
        self._handler = handler
        self._loop = asyncio.get_running_loop()
        self._refusals = Refusals(folder, kept)
        self._transfer = Transfer(
            lambda: load_settings(service_address).require_token(), patience=None, patience_if_full=FULL_SECONDS
        )
        self._stopped = threading.Event()
        self._up = ThreadPoolExecutor(AT_A_TIME, thread_name_prefix="upload")
        self._down = ThreadPoolExecutor(AT_A_TIME, thread_name_prefix="fetch")
        self._wanted: dict[Path, list[Lease]] = {}
        self._fetching: dict[Lease, set[Path]] = {}
        self._inputs = KeptInputs(max_inputs)
        self._results: dict[_Key, BlobReference] = {}
        self._uploading: set[_Key] = set()
        self._unneeded: dict[BlobId, float] = {}
        self._swept_at = 0.0
        self._looked_at = 0.0

    def open(self, recovered: Iterable[TaskResult]) -> None:
        """Prepare the folder and take up the uploads of an earlier agent."""
        large = [result for result in recovered if is_reference(result.value)]
        self._folder.open({read_reference(result.value).blob_id for result in large})
        if self._kept is not None:
            self._kept.open()
        files = sorted(((path.stat(), path.name) for path in self._folder.inputs()), key=lambda file: file[0].st_mtime)
        for status, name in files:
            self._inputs.used(name, status.st_size, status.st_mtime)
        self.sendable(large)

    def close(self) -> None:
        """Stop; what is not uploaded stays on disk."""
        self._stopped.set()
        self._transfer.close()
        for threads in (self._up, self._down):
            threads.shutdown(wait=False, cancel_futures=True)

    # --- results ---------------------------------------------------------------------------------------------------

    def sendable(self, results: Sequence[TaskResult]) -> Sequence[TaskResult]:
        """Return the results that can be sent now, and begin to upload the values of the others."""
        if not any(is_reference(result.value) for result in results):
            return results
        for result in results:
            key = (result.task_id, result.attempt)
            if is_reference(result.value) and key not in self._results:
                self._results[key] = read_reference(result.value)
                self._uploading.add(key)
                self._up.submit(self._upload, result, self._results[key])
        return [result for result in results if (result.task_id, result.attempt) not in self._uploading]

    def forget(self, leases: Iterable[Lease]) -> None:
        """The service has committed these results, or does not want them."""
        if not self._results:
            return
        for lease in leases:
            key = (lease.task_id, lease.attempt)
            reference = self._results.pop(key, None)
            if reference is not None:
                self._uploading.discard(key)
                self._folder.remove_result(reference.blob_id)

    @property
    def uploading(self) -> int:
        """How many results wait for their value to be uploaded."""
        return len(self._uploading)

    def _upload(self, result: TaskResult, reference: BlobReference) -> None:
        """Upload a value until the service has it, or says that it never will. In a thread."""

        def attempt() -> None:
            path = self._folder.result(reference.blob_id)
            with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                self._transfer.upload_as(reference, content, kind="result", task_id=result.task_id)

        self._until_settled(
            attempt,
            lambda: self._uploaded(result),
            lambda error: self._refused(result, reference, error),
            lambda: (result.task_id, result.attempt) in self._results,
            is_full=lambda: self._refusals.may_stay(reference),
        )

    def _uploaded(self, result: TaskResult) -> None:
        key = (result.task_id, result.attempt)
        if key in self._uploading:
            self._uploading.discard(key)
            self._handler.result_uploaded(result)

    def _refused(self, result: TaskResult, reference: BlobReference, error: FuncxError | str) -> None:
        """The service never takes a value: it stays here if that is possible. In a thread."""
        _log.warning("the value of a task cannot be sent: %s", error, extra={"task_id": result.task_id})
        told = self._refusals.told_instead(result, reference, error)
        self._on_loop(lambda: self._tell_instead(told))

    def _tell_instead(self, told: TaskResult) -> None:
        key = (told.task_id, told.attempt)
        if key in self._uploading:
            self._uploading.discard(key)
            self._handler.result_refused(told)

    # --- arguments -------------------------------------------------------------------------------------------------

    def fetch(self, task: Task) -> None:
        """Bring the arguments of a task here, and what it has beside them."""
        places = self._places(task)
        if not places:
            # Not now: the agent is about to note that the task waits for them.
            error = _cannot_be_fetched(0, "What names them is malformed.")
            self._loop.call_soon(self._handler.argument_missing, task.lease, error)
            return
        self._fetching[task.lease] = set(places)
        for path, reference in places.items():
            self._unneeded.pop(reference.blob_id, None)
            waiting = self._wanted.get(path)
            if waiting is not None:
                waiting.append(task.lease)
                continue
            self._wanted[path] = [task.lease]
            self._down.submit(self._fetch, reference, path)

    def _places(self, task: Task) -> dict[Path, BlobReference]:
        """Return what the task's payload names, and where it belongs; nothing if that cannot be read."""
        try:
            references = references_of(task.payload)
        except RemoteProtocolError:
            return {}
        if is_reference(task.payload):
            return {self._folder.argument(reference.blob_id): reference for reference in references}
        return {self._folder.input(task.owner, reference.sha256): reference for reference in references}

    def tick(self, open_tasks: Callable[[], list[Task]], now: float) -> None:
        """Time passed: remove what no task needs any more. `open_tasks` gives those whose arguments are in blobs."""
        if now < self._swept_at + KEEP_SECONDS / 4:
            return
        self._swept_at = now
        if now > self._looked_at + STRAY_PERIOD:
            self._looked_at = now
            self._folder.remove_stray({reference.blob_id for reference in self._results.values()})
            if self._kept is not None:
                self._down.submit(self._kept.sweep)
        present = self._folder.arguments()
        if not present and not self._inputs.size:
            return
        needed = {path.name for task in open_tasks() for path in self._places(task)}
        for name in self._inputs.to_remove(needed, time.time()):
            self._folder.input(*name.split("-", 1)).unlink(missing_ok=True)
        since = {blob_id: self._unneeded.get(blob_id, now) for blob_id in present if blob_id not in needed}
        self._unneeded = {blob_id: began for blob_id, began in since.items() if now < began + KEEP_SECONDS}
        for blob_id in since.keys() - self._unneeded.keys():
            self._folder.argument(blob_id).unlink(missing_ok=True)

    def _fetch(self, reference: BlobReference, path: Path) -> None:
        """Fetch arguments until they are here, or the service says that they never will be. In a thread."""

        def attempt() -> None:
            if path.exists() and path.stat().st_size == reference.size:
                path.touch()  # Says after a restart which was used last.
            else:
                self._transfer.download_to(reference, path)

        self._until_settled(
            attempt,
            lambda: self._fetched(reference, path),
            lambda error: self._on_loop(lambda: self._missing(reference, path, str(error))),
            lambda: path in self._wanted,
        )

    def _fetched(self, reference: BlobReference, path: Path) -> None:
        if path.name != reference.blob_id:
            self._inputs.used(path.name, reference.size, time.time())
        for lease in self._wanted.pop(path, ()):
            missing = self._fetching.get(lease)
            if missing is None:
                continue
            missing.discard(path)
            if not missing:
                del self._fetching[lease]
                self._handler.argument_fetched(lease)

    def _missing(self, reference: BlobReference, path: Path, reason: str) -> None:
        for lease in self._wanted.pop(path, ()):
            if self._fetching.pop(lease, None) is not None:
                self._handler.argument_missing(lease, _cannot_be_fetched(reference.size, reason))

    # --- in a thread -----------------------------------------------------------------------------------------------

    def _until_settled(
        self,
        attempt: Callable[[], None],
        succeeded: Callable[[], None],
        failed: Callable[[FuncxError | str], None],
        is_wanted: Callable[[], bool],
        is_full: Callable[[], bool] = lambda: False,
    ) -> None:
        """`failed` is called here, `succeeded` on the loop; `is_full`: whether a full disk of the service is a failure."""
        while not self._stopped.is_set() and is_wanted():
            try:
                attempt()
            except (TryAgainLater, AuthRequired, NotConfigured, ConfigError) as error:
                if isinstance(error, StorageFull) and is_full():
                    failed(error)
                    return
                _log.warning("a large value has to wait: %s", error)
            except FuncxError as error:
                failed(error)
                return
            except FileNotFoundError:
                failed("Its file is not in the endpoint's folder: nodes must share that with the agent.")
                return
            except OSError as error:
                _log.warning("a large value has to wait: %s", error)
            except Exception:  # noqa: BLE001 - whatever it is, the value must not be lost by it
                _log.exception("a large value has to wait because of an error of the agent's own")
            else:
                self._on_loop(succeeded)
                return
            self._stopped.wait(RETRY_SECONDS)

    def _on_loop(self, action: Callable[[], None]) -> None:
        try:
            self._loop.call_soon_threadsafe(action)
        except RuntimeError:  # The loop has ended; the next agent takes it up.
            _log.info("a transfer ended after the agent")


def _cannot_be_fetched(size: int, reason: str) -> TaskError:
    return TaskError(
        code="argument_load_error",
        message=f"The arguments ({size:,} bytes) cannot be fetched from the service. {reason}",
        details={"size": size, "cause": reason},
    )
