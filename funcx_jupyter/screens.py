"""Where the output of cells goes in IPython: into the running cell, or into something that can be changed later."""

from __future__ import annotations

import html
import uuid
from typing import Any

from IPython.core.displaypub import CapturingDisplayPublisher

from funcx_jupyter.display.header import Header
from funcx_jupyter.display.traceback import arrange


class ShellScreen:
    """The output of the running cell."""

    def __init__(self, shell: Any, *, quiet: bool) -> None:
        self._shell = shell
        self._quiet = quiet
        self._display_id = uuid.uuid4().hex

    @property
    def publisher(self) -> ShellScreen:
        """What shows rich output."""
        return self

    def publish(
        self, data: dict[str, Any], metadata: dict[str, Any], *, transient: dict[str, Any], update: bool
    ) -> None:
        """Show a MIME bundle. The shell's publisher is looked up each time: `%%capture` replaces it."""
        self._shell.display_pub.publish(data, metadata, transient=transient, update=update)

    def clear_output(self, *, wait: bool) -> None:
        """Remove what the cell has shown."""
        self._shell.display_pub.clear_output(wait)

    def header(self, header: Header, *, first: bool, last: bool) -> None:
        """Show the header line. Where nothing can be updated in place, only its last form is shown."""
        if self._quiet or not (last or self._can_update()):
            return
        update = self._can_update() and not first
        self.publish(header.as_bundle(), {}, transient={"display_id": self._display_id}, update=update)

    def notice(self, text: str) -> None:
        """Show one line that the user should not miss."""
        self.publish(
            {"text/plain": text, "text/html": f"<div>{html.escape(text)}</div>"}, {}, transient={}, update=False
        )

    def _can_update(self) -> bool:
        return can_update(self._shell)

    def arrange(self, error: BaseException, *, where: str, verbose: bool) -> BaseException:
        """Return the exception of the cell's own code, told how to show itself."""
        return arrange(error, self._shell, where=where, verbose=verbose)


def can_update(shell: Any) -> bool:
    """Whether what is shown now can be changed later."""
    return hasattr(shell, "kernel") and not isinstance(shell.display_pub, CapturingDisplayPublisher)


class BackgroundShellScreen:
    """The output of an asynchronous cell: a header line and a block, each with a display id.

    The shell's publisher is kept from the start: while another cell is under `%%capture`, the shell has a different one.
    """

    def __init__(self, shell: Any, *, quiet: bool) -> None:
        self._shell = shell
        self._quiet = quiet
        self._publisher = shell.display_pub if can_update(shell) else None
        self._header_id = ""
        self._output_id = uuid.uuid4().hex
        self._last: Header | None = None

    @property
    def is_live(self) -> bool:
        """Whether it can be changed after its cell."""
        return self._publisher is not None

    def open(self, header: Header) -> None:
        """Show what is to be changed later."""
        self._last = header
        self._header_id = f"funcx-{header.task_id}"
        if not self._quiet:
            self._publish(header.as_bundle(), self._header_id, update=False)
        self._publish({"text/plain": "", "text/html": "<div></div>"}, self._output_id, update=False)

    def show_again(self) -> None:
        """Show the header line in the running cell, too."""
        if self._last is not None:
            self._publish(self._last.as_bundle(), self._header_id, update=False)

    def header(self, header: Header) -> None:
        """Change the header line."""
        self._last = header
        self._publish(header.as_bundle(), self._header_id, update=True)

    def output(self, bundle: dict[str, str]) -> None:
        """Change the block of output."""
        self._publish(bundle, self._output_id, update=True)

    def notice(self, text: str) -> None:
        """Show one line that the user should not miss."""
        ShellScreen(self._shell, quiet=False).notice(text)

    def arrange(self, error: BaseException, *, where: str, verbose: bool) -> BaseException:
        """Return the exception of the cell's own code, told how to show itself."""
        return arrange(error, self._shell, where=where, verbose=verbose)

    def _publish(self, data: dict[str, Any], display_id: str, *, update: bool) -> None:
        if self._publisher is not None:  # A terminal, or what `%%capture` took, is not changed.
            self._publisher.publish(data, {}, transient={"display_id": display_id}, update=update)
