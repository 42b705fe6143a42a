"""Every error this system raises on purpose, drawn as one tree by whose fault it is.

::

    FuncxError
    ├── UsageError                  the caller can fix it
    │   ├── ConfigError               a configuration file or flag
    │   │   └── EndpointStateError      a local endpoint is not in the state the command needs
    │   ├── MissingPackage            an optional package is not installed
    │   ├── InvalidId                 a malformed identifier
    │   ├── InvalidRequest            a request that cannot be read; MissingField
    │   ├── NotConfigured             no service is known
    │   ├── AuthRequired              no token, an unknown or expired one
    │   ├── PermissionDenied          FunctionNotPermitted
    │   ├── NotFound                  FunctionNotFound, EndpointNotFound, TaskNotFound, TaskGroupNotFound, ContainerNotFound,
    │   │                               AuthGroupNotFound, UserNotFound, TokenNotFound, ClientNotFound, SignInNotFound, BlobNotFound,
    │   │                               MapNotFound
    │   ├── NoMessageBroker           results travel by the stream here, not by a broker
    │   ├── ResourceLocked            its owner locked the endpoint for a while
    │   ├── Conflict                  the same id with another content, a lock held by somebody else;
    │   │                               EndpointAlreadyRegistered
    │   ├── SerializationError        a function or argument that cannot be sent
    │   ├── DeserializationError      bytes that cannot be turned back into a value
    │   │   └── NotPlainData            they hold more than data, and their maker is not trusted
    │   ├── BatchTooLarge             more tasks in one request than the service takes
    │   ├── PayloadTooLarge           MaxRequestSizeExceeded (*)
    │   └── ChecksumMismatch, BlobQuotaExceeded, EndpointTooOld
    ├── RemoteProtocolError         the peer sent what the protocol does not allow
    │   └── VersionMismatch
    ├── TaskFailed                  the task ended without a value
    │   ├── RemoteTaskError           the user's function raised, and its own class cannot be rebuilt here
    │   ├── WorkerLost, ManagerLost, EndpointLost, TaskPoisoned     what ran it died
    │   ├── CommandFailed             a shell command ended with an exit code other than 0
    │   ├── ResourcesUnavailable      the endpoint can never give the task what it asks for
    │   ├── RequirementNotMet         a package that the cell asked for is not there
    │   ├── DependencyError           a task that it waited for ended without success
    │   ├── TaskTimeout, TaskCancelled, TaskExpired
    │   ├── ContainerUnavailable, ContainerFailed
    │   ├── FunctionLoadError, ArgumentLoadError, InputLost
    │   └── ResultNotSerializable, ResultTooLarge, ValueNotKept, ResultLoadError
    │       └── ResultNotTrusted          a result of an endpoint that may not run code here
    └── TryAgainLater               nothing is wrong with the request
        ├── ServiceUnavailable, QueueFull, StorageFull
        ├── RateLimited               MaxRequestsExceeded (*)
        ├── EndpointOffline
        └── TaskPending

(*) are also `ThrottlingException`: the client itself held a request back, as its service asked it to.

An error is built from plain fields only, so it pickles, travels as fields and never breaks on the way. `code` is
stable: programs compare it, and the HTTP layer translates it to the numeric table of the published services.
"""

from __future__ import annotations

from typing import Any, ClassVar, Self

_SENT_BESIDE = frozenset({"http_status", "retry_after"})


class FuncxError(Exception):
    """Base of every error of this system. `str(error)` is one line: the cause, then what to do next."""

    code: ClassVar[str] = "unknown_error"
    http_status: ClassVar[int] = 500

    @property
    def code_name(self) -> str:
        """The code, under the name that programs for funcX 0.3.6 and later compare."""
        return self.code

    @property
    def fields(self) -> dict[str, Any]:
        """What is known of this error besides code and text, as plain values: it travels with them."""
        return {name: value for name, value in self.__dict__.items() if name not in _SENT_BESIDE and name[:1] != "_"}

    def __reduce__(self) -> tuple[Any, ...]:
        # By fields, not by args: subclasses have constructors of their own.
        return (_rebuild, (type(self), self.args, dict(self.__dict__)))


def _rebuild(cls: type[FuncxError], args: tuple[Any, ...], fields: dict[str, Any]) -> FuncxError:
    error = cls.__new__(cls)
    error.args = args
    error.__dict__.update(fields)
    return error


# --- the caller can fix it -------------------------------------------------------------------------------------


class UsageError(FuncxError):
    """The caller asked for something that cannot be done as asked."""

    code = "usage_error"
    http_status = 400


class MissingPackage(UsageError):
    """Something needs a package that is not installed here."""

    code = "missing_package"

    def __init__(self, package: str, what: str, instead: str = "") -> None:
        super().__init__(f"{what} {package} is not installed here: pip install {package}. {instead}".rstrip())


class ConfigError(UsageError):
    """A configuration file, flag or environment variable is wrong."""

    code = "config_error"


class EndpointStateError(ConfigError):
    """A local endpoint is not in the state that the command needs."""

    code = "endpoint_state"


class InvalidId(UsageError):
    """An identifier is not a UUID."""

    code = "invalid_uuid"

    def __init__(self, text: str, what: str = "id") -> None:
        self.text = text[:100]
        super().__init__(
            f"'{self.text}' is not a valid {what}: a UUID such as 1e999502-b434-49a2-a2e0-d925383d2dd4 is needed."
        )


class InvalidRequest(UsageError):
    """A request body or parameter cannot be read."""

    code = "request_malformed"


class MissingField(InvalidRequest):
    """A request body lacks a field that it must have."""

    code = "request_key_error"


class NotConfigured(UsageError):
    """No funcX service is known to this process."""

    code = "not_configured"


class AuthRequired(UsageError):
    """The request carries no token, or one that is unknown, revoked or expired.

    `expired_at`: when it did, in Unix seconds; None if it did not, or that is not known.
    """

    code = "user_unauthenticated"
    http_status = 401
    expired_at: float | None = None

    @classmethod
    def of_expired(cls, message: str, expired_at: float) -> Self:
        """Return the error for what expired then."""
        error = cls(message)
        error.expired_at = expired_at
        return error


class PermissionDenied(UsageError):
    """The caller is known but may not do this."""

    code = "permission_denied"
    http_status = 403


class FunctionNotPermitted(PermissionDenied):
    """The endpoint runs only functions that are on its list, and this one is not."""

    code = "function_not_permitted"

    def __init__(self, function_id: str, endpoint_id: str) -> None:
        self.function_id = function_id
        self.endpoint_id = endpoint_id
        super().__init__(
            f"Endpoint '{endpoint_id}' runs only functions on its list, and '{function_id}' is not there. "
            "Ask the endpoint's owner to add it."
        )


class NotFound(UsageError):
    """What was named does not exist, or is not visible to the caller."""

    code = "not_found"
    http_status = 404
    what: ClassVar[str] = "object"
    advice: ClassVar[str] = ""

    def __init__(self, name: str, hint: str = "") -> None:
        self.name = name
        hint = hint or self.advice
        super().__init__(f"No {self.what} '{name}' is visible to you.{' ' + hint if hint else ''}")


class FunctionNotFound(NotFound):
    """No such function, or not yours."""

    code = "function_not_found"
    what = "function"
    advice = "Register it first; `register_function` returns its id."


class EndpointNotFound(NotFound):
    """No such endpoint, or not yours."""

    code = "endpoint_not_found"
    what = "endpoint"
    advice = "`funcx status` lists yours."


class TaskNotFound(NotFound):
    """No such task, or not yours."""

    code = "task_not_found"
    what = "task"
    advice = "Check the id; only the user who submitted a task sees it."


class TaskGroupNotFound(NotFound):
    """No such task group, or not yours."""

    code = "task_group_not_found"
    what = "task group"
    advice = "Check the id; only the user who submitted its tasks sees it."


class NoMessageBroker(UsageError):
    """The service has no message broker from which results could be read."""

    code = "no_message_broker"
    http_status = 404

    def __init__(self, message: str = "") -> None:
        super().__init__(
            message
            or "No message broker is configured at this service. FuncXExecutor needs none: it reads results from the stream."
        )


class TokenNotFound(NotFound):
    """No such token, or not yours."""

    code = "token_not_found"
    what = "token"
    advice = "`funcx token list` shows yours."


class SignInNotFound(NotFound):
    """Nobody waits to be signed in by such a code."""

    code = "sign_in_not_found"
    what = "sign-in with the code"
    advice = "Codes are good for ten minutes and one sign-in: is it typed right, and the newest one?"


class ClientNotFound(NotFound):
    """No such client, or not yours."""

    code = "client_not_found"
    what = "client"
    advice = "`funcx token list` shows yours."


class BlobNotFound(NotFound):
    """No such blob, or not yours, or it was deleted or expired."""

    code = "blob_not_found"
    what = "blob"
    advice = "Blobs live as long as their tasks, and a day without one."


class MapNotFound(NotFound):
    """No such map, or not yours."""

    code = "map_not_found"
    what = "map"
    advice = "Check the id; only the user who submitted a map sees it."


class ContainerNotFound(NotFound):
    """No such container, or not one that is shared with you."""

    code = "container_not_found"
    what = "container"
    advice = "Register it first; `register_container` returns its id."


class AuthGroupNotFound(NotFound):
    """No such group of users, or you are not in it."""

    code = "auth_group_not_found"
    what = "group"
    advice = "Use the name or id of a group that you are a member of."


class UserNotFound(NotFound):
    """No user of that name."""

    code = "user_not_found"
    what = "user"
    advice = "Check the name; whoever runs the service makes users with `funcx token --user NAME`."


class ResourceLocked(UsageError):
    """The owner of the endpoint locked it: no agent of it may register until the lock expires."""

    code = "resource_locked"
    http_status = 423

    def __init__(self, message: str, *, endpoint_id: str = "") -> None:
        self.endpoint_id = endpoint_id
        super().__init__(message)


class Conflict(UsageError):
    """The same id came with another content, or somebody else holds the resource."""

    code = "resource_conflict"
    http_status = 409


class EndpointAlreadyRegistered(Conflict):
    """The endpoint's id belongs to somebody else, or to an endpoint that was deleted."""

    code = "endpoint_already_registered"

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"Endpoint id '{name}' is taken or was deleted. Register with a new id.")


class SerializationError(UsageError):
    """A function, argument or value cannot be turned into bytes."""

    code = "serialization_error"


class DeserializationError(UsageError):
    """Bytes cannot be turned back into a function or value."""

    code = "deserialization_error"


class NotPlainData(DeserializationError):
    """Bytes whose maker is not trusted hold more than plain data. `what` says what was met first."""

    code = "not_plain_data"

    def __init__(self, what: str) -> None:
        self.what = what
        super().__init__(f"Only plain data is read from a maker that is not trusted; here is {what}.")


class BatchTooLarge(UsageError):
    """A request has more tasks than the service takes at a time."""

    code = "batch_run_too_large"
    http_status = 413

    def __init__(self, size: int, limit: int) -> None:
        self.size = size
        self.limit = limit
        super().__init__(f"{size:,} tasks in one request; this service takes at most {limit:,}. Send several requests.")


class PayloadTooLarge(UsageError):
    """A request, function or argument is over the service's limit."""

    code = "task_payload_too_large"
    http_status = 413

    def __init__(self, size: int, limit: int, what: str = "payload") -> None:
        self.size = size
        self.limit = limit
        super().__init__(
            f"The {what} {'have' if what.endswith('s') else 'has'} {size:,} bytes; this service takes at most {limit:,}. Send less, or pass a path or URL to the data."
        )


class ThrottlingException(FuncxError):
    """The client held a request back: it was over what the service asked its clients to keep to."""

    code = "throttled"


class MaxRequestSizeExceeded(PayloadTooLarge, ThrottlingException):
    """A request has more bytes than the service asked its clients to send."""

    code = "max_request_size_exceeded"


class ChecksumMismatch(UsageError):
    """Bytes arrived that do not have the checksum that their sender named."""

    code = "checksum_mismatch"


class BlobQuotaExceeded(UsageError):
    """The user's blobs would be larger together than the service allows."""

    code = "blob_quota_exceeded"
    http_status = 413


class EndpointTooOld(UsageError):
    """The endpoint is of a version that does not understand what it is to be sent."""

    code = "endpoint_too_old"
    http_status = 409


# --- the peer's fault ------------------------------------------------------------------------------------------


class RemoteProtocolError(FuncxError):
    """A peer sent bytes that the protocol does not allow. The message was dropped."""

    code = "protocol_error"
    http_status = 400


class VersionMismatch(RemoteProtocolError):
    """Two sides speak protocols that do not fit together."""

    code = "version_mismatch"


# --- the task ended without a value ----------------------------------------------------------------------------


class TaskFailed(FuncxError):
    """A task ended without a value. `task_id` names it; `details` holds what is known of the cause."""

    code = "task_failed"

    def __init__(self, message: str, *, task_id: str | None = None, details: dict[str, Any] | None = None) -> None:
        self.task_id = task_id
        self.details: dict[str, Any] = details or {}
        super().__init__(message)


class RemoteTaskError(TaskFailed):
    """The user's function raised, and its exception class cannot be rebuilt here.

    `details` has `type_name`, `module`, `traceback`.
    """

    code = "remote_task_error"


class WorkerLost(TaskFailed):
    """The worker process died while it ran the task. `details`: `signal`, `exitcode`, `oom`."""

    code = "worker_lost"


class ManagerLost(TaskFailed):
    """The manager (one per node) was lost while the task ran."""

    code = "manager_lost"


class EndpointLost(TaskFailed):
    """The endpoint's agent died while the task ran."""

    code = "endpoint_lost"


class TaskPoisoned(TaskFailed):
    """The task killed every worker it was given to; it is not run again."""

    code = "task_poisoned"


class CommandFailed(TaskFailed):
    """A shell command ended with an exit code other than 0. `details`: `returncode`."""

    code = "command_failed"


class ResourcesUnavailable(TaskFailed):
    """The task asks for more than the endpoint can ever give it."""

    code = "resources_unavailable"


class DependencyError(TaskFailed):
    """A task for which this one waited ended without success; it was not started. `details`: `upstream`, `upstream_state`."""

    code = "dependency_error"

    @property
    def upstream(self) -> str:
        """The id of the task that it waited for."""
        return str(self.details.get("upstream", ""))


class RequirementNotMet(TaskFailed):
    """A package that the cell asks for with ``--requires`` is not installed where it was to run, or in another version. It was not run."""

    code = "requirement_not_met"


class TaskTimeout(TaskFailed):
    """The task ran longer than its walltime and was stopped."""

    code = "task_timeout"


class TaskCancelled(TaskFailed):
    """The task was cancelled."""

    code = "task_cancelled"


class TaskExpired(TaskFailed):
    """The task waited for its endpoint longer than the service keeps tasks."""

    code = "task_expired"


class ContainerUnavailable(TaskFailed):
    """The task asks for a container that its endpoint does not run."""

    code = "container_unavailable"


class ContainerFailed(TaskFailed):
    """The worker's container could not be started. `details`: `stderr` of its runtime, `exitcode`."""

    code = "container_failed"


class FunctionLoadError(TaskFailed):
    """The worker could not load the function."""

    code = "function_load_error"


class ArgumentLoadError(TaskFailed):
    """The worker could not load the arguments."""

    code = "argument_load_error"


class InputLost(TaskFailed):
    """An input of a cell was removed from the endpoint's disk before the cell could start. Nothing of it has run: send it again."""

    code = "input_lost"


class ResultNotSerializable(TaskFailed):
    """The function returned a value that cannot be sent back."""

    code = "result_not_serializable"


class ResultTooLarge(TaskFailed):
    """The function returned a value over the limit. `details`: `size`, `limit`."""

    code = "result_too_large"


class ValueNotKept(TaskFailed):
    """A value that was to stay on the endpoint is not there. `details`: `task`, `name`, and `why`: ``gone``, ``full`` or ``unseen``."""

    code = "value_not_kept"


class ResultLoadError(TaskFailed):
    """The result arrived but cannot be loaded here; its bytes are in `details["raw"]`."""

    code = "result_load_error"


class ResultNotTrusted(ResultLoadError):
    """The result holds more than plain data, and its endpoint is neither yours nor one that you trust.

    Its bytes are in `details["raw"]`.
    """

    code = "result_not_trusted"


# --- nothing is wrong with the request -------------------------------------------------------------------------


class TryAgainLater(FuncxError):
    """The same request may succeed later. `retry_after` is the advised wait in seconds."""

    code = "try_again_later"
    http_status = 503

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        self.retry_after = retry_after
        super().__init__(message)


class ServiceUnavailable(TryAgainLater):
    """The service cannot be reached or is restarting."""

    code = "service_unavailable"


class QueueFull(TryAgainLater):
    """The caller has as many open tasks as the service allows."""

    code = "queue_full"
    http_status = 429


class RateLimited(TryAgainLater):
    """The caller sends requests faster than the service allows."""

    code = "rate_limited"
    http_status = 429


class MaxRequestsExceeded(RateLimited, ThrottlingException):
    """More requests in a while than the service asked its clients to send."""

    code = "max_requests_exceeded"


class StorageFull(TryAgainLater):
    """The service cannot write to its disk; nothing was accepted."""

    code = "storage_full"
    http_status = 507


class EndpointOffline(TryAgainLater):
    """The endpoint is not connected."""

    code = "endpoint_offline"


class TaskPending(TryAgainLater):
    """The task has not ended yet. `reason` is its state, such as ``waiting-for-ep``."""

    code = "task_pending"
    http_status = 200

    def __init__(self, reason: str, *, task_id: str | None = None) -> None:
        self.reason = reason
        self.task_id = task_id
        super().__init__(f"Task is pending due to {reason}")


def error_class(code: str) -> type[FuncxError]:
    """Return the class whose `code` this is, or `FuncxError` for a code this version does not know."""
    return _BY_CODE.get(code, FuncxError)


def _walk(cls: type[FuncxError]) -> list[type[FuncxError]]:
    return [cls, *(leaf for child in cls.__subclasses__() for leaf in _walk(child))]


def all_classes() -> list[type[FuncxError]]:
    """Return every class of this module, each before those that derive from it."""
    return [cls for cls in dict.fromkeys(_walk(FuncxError)) if cls.__module__ == __name__]


_BY_CODE: dict[str, type[FuncxError]] = {cls.code: cls for cls in _walk(FuncxError)}
