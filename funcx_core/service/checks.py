"""What a request must look like, past what its struct already says."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import msgspec

from funcx_core.errors import BatchTooLarge, FuncxError, InvalidId, InvalidRequest, PayloadTooLarge
from funcx_core.ids import TaskId
from funcx_core.protocol.client import Limits, Submit
from funcx_core.protocol.features import MOST_FEATURES, MOST_LETTERS
from funcx_core.protocol.payload import content_size
from funcx_core.protocol.resources import priority_fault
from funcx_core.protocol.task import MOST_AFTER, Call, TaskOptions

MAX_RETRIES: Final = 10
MAX_TAGS: Final = 16
MAX_TAG_LENGTH: Final = 200
MAX_NAME: Final = 256
MAX_DESCRIPTION: Final = 10_000
MAX_LOCATION: Final = 4_096
CONTAINER_TYPES: Final = ("docker", "podman", "singularity", "apptainer", "shifter", "charliecloud")
"""What endpoints can run."""
MAX_ENTRIES: Final = 10_000

_is_uuid = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}").fullmatch
_is_endpoint_name = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}").fullmatch
_is_user_name = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@+-]{0,127}").fullmatch
_is_group_name = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}").fullmatch
_is_content_hash = re.compile(r"sha256:[0-9a-f]{64}").fullmatch
_is_z85_key = re.compile(r"[0-9a-zA-Z.\-:+=^!/*?&<>()\[\]{}@%$#]{40}").fullmatch


def check_id(text: str, what: str) -> None:
    """Raise `InvalidId` unless `text` is a UUID in canonical form."""
    if not _is_uuid(text):
        raise InvalidId(text, what)


def check_endpoint_name(name: str) -> None:
    """Raise `InvalidRequest` unless endpoints may be called so."""
    if not _is_endpoint_name(name) or name == "service":
        raise InvalidRequest(
            f"'{name[:100]}' cannot be an endpoint's name: use up to 64 letters, digits, '_', '.' and '-', "
            "beginning with a letter or digit, and not 'service'."
        )


def check_public_key(key: str) -> None:
    """Raise `InvalidRequest` unless `key` is a CURVE public key in Z85, or empty."""
    if key and not _is_z85_key(key):
        raise InvalidRequest("'public_key' is not a CURVE public key in Z85 (40 characters).")


def check_function(name: str, body: bytes, limits: Limits) -> None:
    """Raise unless this can be registered."""
    if len(body) > limits.max_function and (size := content_size(body)) > limits.max_function:
        raise PayloadTooLarge(size, limits.max_function, "function")
    if not body:
        raise InvalidRequest("The function has no body: register it with its source or its serialized code.")
    if len(name) > MAX_NAME:
        raise InvalidRequest(f"The function's name has {len(name)} characters; at most {MAX_NAME} are allowed.")


def check_description(text: str) -> None:
    """Raise `InvalidRequest` if it is too long."""
    if len(text) > MAX_DESCRIPTION:
        raise InvalidRequest(f"The description has {len(text):,} characters; at most {MAX_DESCRIPTION:,} are allowed.")


def check_user_name(name: str) -> None:
    """Raise `InvalidRequest` unless users may be called so."""
    if not _is_user_name(name):
        raise InvalidRequest(
            f"'{name[:100]}' cannot be a user's name: use up to 128 letters, digits, '_', '.', '@', '+' and '-', "
            "beginning with a letter or digit."
        )


def check_group_name(name: str) -> None:
    """Raise `InvalidRequest` unless groups of users may be called so. No name looks like an id."""
    if not _is_group_name(name) or _is_uuid(name.lower()):
        raise InvalidRequest(
            f"'{name[:100]}' cannot be a group's name: use up to 64 letters, digits, '_', '.' and '-', beginning with a letter."
        )


def check_container(name: str, kind: str, location: str) -> None:
    """Raise `InvalidRequest` unless this can be registered."""
    if not location or len(location) > MAX_LOCATION:
        raise InvalidRequest(f"A container needs a 'location' of 1 to {MAX_LOCATION:,} characters.")
    if kind.lower() not in CONTAINER_TYPES:
        raise InvalidRequest(
            f"A container's 'type' is one of {', '.join(CONTAINER_TYPES)}; this one is '{kind[:MAX_NAME]}'."
        )
    if len(name) > MAX_NAME:
        raise InvalidRequest(f"The container's name has {len(name)} characters; at most {MAX_NAME} are allowed.")


def checked_entries(entries: Sequence[str]) -> list[str]:
    """Return entries of an allow-list in canonical form.

    Raises:
        InvalidRequest: one of them is neither the id of a function nor the hash of a body, or there are too many.
    """
    if len(entries) > MAX_ENTRIES:
        raise InvalidRequest(f"{len(entries):,} functions in one request; at most {MAX_ENTRIES:,} are allowed.")
    return [_checked_entry(entry) for entry in entries]


def checked_features(features: Sequence[str]) -> Sequence[str]:
    """Return what an endpoint says that it understands. What is not known here is kept: a later service may ask for it.

    Raises:
        InvalidRequest: they are too many, or no words.
    """
    if len(features) > MOST_FEATURES:
        raise InvalidRequest(f"{len(features):,} features; at most {MOST_FEATURES} are allowed.")
    for feature in features:
        if not feature.isidentifier() or len(feature) > MOST_LETTERS:
            raise InvalidRequest(
                f"'{feature[:MOST_LETTERS]}' is no feature: a word of letters, digits and underscores is needed."
            )
    return features


def _checked_entry(entry: str) -> str:
    known = entry.lower()
    if not (_is_uuid(known) or _is_content_hash(known)):
        raise InvalidRequest(
            f"'{entry[:100]}' is neither the id of a function nor 'sha256:' and 64 hexadecimal digits."
        )
    return known


def check_options(options: TaskOptions) -> None:
    """Raise `InvalidRequest` unless tasks may be run so."""
    if not 0 <= options.retry_on_loss <= MAX_RETRIES:
        raise InvalidRequest(f"'retry_on_loss' is {options.retry_on_loss}; 0 to {MAX_RETRIES} are allowed.")
    if options.walltime is not None and not options.walltime > 0:
        raise InvalidRequest(f"'walltime' is {options.walltime}; it must be more than 0 seconds, or None.")
    if not options.interrupt_grace >= 0:
        raise InvalidRequest(f"'interrupt_grace' is {options.interrupt_grace}; it must be 0 seconds or more.")
    _check_scheduling(options)
    if len(options.tags) > MAX_TAGS:
        raise InvalidRequest(f"{len(options.tags)} tags were given; at most {MAX_TAGS} are allowed.")
    if any(len(text) > MAX_TAG_LENGTH for pair in options.tags.items() for text in pair):
        raise InvalidRequest(f"A tag is longer than {MAX_TAG_LENGTH} characters.")


def _check_scheduling(options: TaskOptions) -> None:
    fault = priority_fault(options.priority)
    if fault is None and options.resources is not None:
        fault = options.resources.fault()
    if fault is not None:
        raise InvalidRequest(fault)


def _check_after(after: Sequence[TaskId]) -> None:
    if len(after) > MOST_AFTER:
        raise InvalidRequest(
            f"A task is to wait for {len(after)} others; at most {MOST_AFTER} are allowed. Gather them by tasks in between."
        )
    for task_id in after:
        check_id(task_id, "task id")


def checked_submit(submit: Submit, limits: Limits) -> Submit:
    """Return the request, without repetitions in what its tasks wait for.

    Raises:
        UsageError: it cannot be accepted as a whole.
    """
    if submit.options.after:
        once = tuple(dict.fromkeys(submit.options.after))
        submit = msgspec.structs.replace(submit, options=msgspec.structs.replace(submit.options, after=once))
        _check_after(once)
        if own := {call.task_id for call in submit.calls}.intersection(once):
            raise InvalidRequest(f"Task '{min(own)}' is to wait for a task of its own request. Submit that one before.")
    if len(submit.calls) > limits.max_batch:
        raise BatchTooLarge(len(submit.calls), limits.max_batch)
    check_id(submit.endpoint_id, "endpoint id")
    check_id(submit.group_id, "task group id")
    check_options(submit.options)
    if len({call.task_id for call in submit.calls}) < len(submit.calls):
        raise InvalidRequest("The request has the same task id twice. Every task needs an id of its own.")
    return submit


def fault_of(call: Call, limits: Limits) -> FuncxError | None:
    """Return why this call cannot be accepted, None if it can."""
    if not _is_uuid(call.task_id):
        return InvalidId(call.task_id, "task id")
    if len(call.payload) > limits.max_payload and (size := content_size(call.payload)) > limits.max_payload:
        return PayloadTooLarge(size, limits.max_payload, "task's payload")
    return None
