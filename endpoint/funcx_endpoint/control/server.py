"""The agent's side: answers whoever may open its socket, which is the endpoint's owner alone."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable
from pathlib import Path

import msgspec

from funcx_core.errors import FuncxError
from funcx_endpoint.control.messages import Answer, Failed, Question, questions
from funcx_endpoint.control.socket_path import NAME, short_path

_log = logging.getLogger(__name__)


class ControlServer:
    """Answers questions on the agent's loop. `answer` may raise `FuncxError`: the asker hears it."""

    def __init__(self, folder: Path, answer: Callable[[Question], Answer]) -> None:
        self._folder = folder
        self._answer = answer
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Listen. What an earlier agent left there is replaced."""
        self._path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with short_path(self._folder) as path:
                listener.bind(path)
                os.chmod(path, 0o600)  # noqa: PTH101 - a name of the kernel's, good for this moment
            self._server = await asyncio.start_unix_server(self._serve, sock=listener)
        except OSError as error:
            # Some shared file systems take no sockets; tasks run without.
            listener.close()
            _log.warning("nothing can be asked of this agent while it runs: %s", error)

    def close(self) -> None:
        """Answer nobody any more."""
        if self._server is not None:
            self._server.close()
            self._path.unlink(missing_ok=True)

    @property
    def _path(self) -> Path:
        return self._folder / NAME

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                writer.write(msgspec.json.encode(self._answered(line)) + b"\n")
                await writer.drain()
        except (OSError, ValueError) as error:  # The asker went away, or its line has no end.
            _log.debug("a question was not heard to its end: %s", error)
        finally:
            writer.close()

    def _answered(self, line: bytes) -> Answer:
        try:
            return self._answer(questions.decode(line))
        except msgspec.MsgspecError as error:
            return Failed(f"The agent does not know what is asked: {error}")
        except FuncxError as error:
            return Failed(str(error))
