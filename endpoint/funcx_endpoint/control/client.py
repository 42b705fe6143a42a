"""The asker's side. Blocking."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from funcx_core.errors import EndpointStateError, RemoteProtocolError, UsageError
from funcx_endpoint.control.messages import Answer, Failed, Question, answers
from funcx_endpoint.control.socket_path import short_path

TIMEOUT: Final = 10.0
T = TypeVar("T", bound=Answer)


def ask(folder: Path, question: Question, expected: type[T], *, timeout: float = TIMEOUT) -> T:
    """Ask the agent of the endpoint in `folder` and return its answer.

    Raises:
        EndpointStateError: no agent answers there.
        RemoteProtocolError: what answers is an agent of another version.
        UsageError: the agent refused.
    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection, short_path(folder) as path:
            connection.settimeout(timeout)
            connection.connect(path)
            connection.sendall(msgspec.json.encode(question) + b"\n")
            with connection.makefile("rb") as stream:
                line = stream.readline()
    except OSError as error:
        raise _no_answer(folder, str(error)) from None
    if not line:
        raise _no_answer(folder, "it ended the connection")
    return _checked(line, expected)


def _no_answer(folder: Path, why: str) -> EndpointStateError:
    return EndpointStateError(
        f"The agent of endpoint '{folder.name}' does not answer ({why}). See: funcx-endpoint status {folder.name}"
    )


def _checked(line: bytes, expected: type[T]) -> T:
    try:
        answer = answers.decode(line)
    except msgspec.MsgspecError as error:
        raise RemoteProtocolError(f"The agent's answer cannot be read: {error}. Restart the endpoint.") from None
    if isinstance(answer, Failed):
        raise UsageError(answer.message)
    if not isinstance(answer, expected):
        raise RemoteProtocolError("The agent answered something else than it was asked. Restart the endpoint.")
    return answer
