"""Where the output of cells goes in IPython: into the running cell, or into something that can be changed later."""

from __future__ import annotations

import html
import shutil
import sys
import uuid
from collections.abc import Sequence
from typing import Any

from IPython.core.displaypub import CapturingDisplayPublisher

from funcx_core.progress.text import lines as bar_lines
from funcx_core.progress.text import open_line
from funcx_core.protocol.progress import Progress
from funcx_jupyter.display.bars import BarsView, NotebookBars
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

    @property
    def stop_key(self) -> str:
        """What the user presses to stop the cell."""
        return "■"

    def before_text(self, text: str) -> None:
        """Text has a place of its own here, below the header line."""

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

    def hidden(self, line: str, first: bool, last: bool) -> None:
        """Show the line about what is hidden; the last one alone where nothing can be updated in place."""
        if not (last or self._can_update()):
            return
        update = self._can_update() and not first
        shown = {"text/plain": line, "text/html": f"<div>{html.escape(line)}</div>"}
        self.publish(shown, {}, transient={"display_id": f"{self._display_id}-hidden"}, update=update)

    def bars(self) -> BarsView:
        """Return a new place for progress bars."""
        display_id = uuid.uuid4().hex

        def show(bundle: dict[str, Any], update: bool) -> None:
            self.publish(bundle, {}, transient={"display_id": display_id}, update=update)

        return NotebookBars(show, is_live=self._can_update())

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


class TerminalScreen(ShellScreen):
    """The output of the running cell in a terminal.

    While the cell runs, the header stands below its output, in one line that is written over once a second and goes at the end, when the
    last form of the header is printed. It makes way for whatever the cell prints, and waits where that has not ended its line.
    """

    def __init__(self, shell: Any, *, quiet: bool) -> None:
        super().__init__(shell, quiet=quiet)
        self._is_shown = False
        self._at_line_start = True
        self._now: Header | None = None
        self._open_bars = Progress()

    @property
    def stop_key(self) -> str:
        """What the user presses to stop the cell."""
        return "Ctrl-C"

    def before_text(self, text: str) -> None:
        """Make way for `text`."""
        self._erase()
        self._at_line_start = text.endswith("\n")

    def publish(
        self, data: dict[str, Any], metadata: dict[str, Any], *, transient: dict[str, Any], update: bool
    ) -> None:
        """Print the text form."""
        self._erase()
        if not self._at_line_start:
            sys.stdout.write("\n")
        self._at_line_start = True
        super().publish(data, metadata, transient=transient, update=update)

    def header(self, header: Header, *, first: bool, last: bool) -> None:
        """Show the header line."""
        if last:
            self._erase()
            super().header(header, first=first, last=last)
        else:
            self._now = header
            if not first:
                self._draw()

    def bars(self) -> BarsView:
        """Return a new place for progress bars: they share the line of the header."""
        return _LineBars(self)

    def draw_bars(self, progress: Progress) -> None:
        """Show these bars in the line, too."""
        self._open_bars = progress
        self._draw()

    def leave_bars(self, lines: Sequence[str]) -> None:
        """Print what is left of bars."""
        self._open_bars = Progress()
        self._erase()
        start = "" if self._at_line_start else "\n"
        sys.stdout.write("".join([start, *(f"{line}\n" for line in lines)]))
        sys.stdout.flush()
        self._at_line_start = True

    def _draw(self) -> None:
        if self._now is None or not self._at_line_start or not sys.stdout.isatty():
            return
        width = shutil.get_terminal_size().columns - 1
        bars = open_line(self._open_bars, width)
        if self._quiet:
            shown = bars
        elif bars:
            shown = f"{self._now.endpoint} · {self._now.status()} · {bars}"
        else:
            shown = self._now.as_text()
        if shown or self._is_shown:
            sys.stdout.write(f"\r\x1b[K{shown[:width]}")
            sys.stdout.flush()
            self._is_shown = True

    def _erase(self) -> None:
        if self._is_shown:
            sys.stdout.write("\r\x1b[K")
            sys.stdout.flush()
            self._is_shown = False


class _LineBars:
    """Progress bars in the line of a terminal."""

    def __init__(self, screen: TerminalScreen) -> None:
        self._screen = screen
        self._last = Progress()

    def paint(self, progress: Progress) -> None:
        """Show how they are now."""
        self._last = progress
        self._screen.draw_bars(progress)

    def aside(self) -> None:
        """The screen makes way by itself."""

    def cleared(self) -> None:
        """A terminal is not cleared."""

    def end(self) -> None:
        """Leave them as they are now."""
        self._screen.leave_bars(bar_lines(self._last))


def running_screen(shell: Any, *, quiet: bool) -> ShellScreen:
    """Return where the running cell's output goes: into a notebook, or to a terminal."""
    return (ShellScreen if hasattr(shell, "kernel") else TerminalScreen)(shell, quiet=quiet)


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
        self._last_output: dict[str, str] | None = None

    @property
    def is_live(self) -> bool:
        """Whether it can be changed after its cell."""
        return self._publisher is not None

    @property
    def stop_key(self) -> str:
        """What the user presses to stop the cell."""
        return "■" if hasattr(self._shell, "kernel") else "Ctrl-C"

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
        self._last_output = bundle
        self._publish(bundle, self._output_id, update=True)

    def confirm(self) -> None:
        """Show once more what is there, from the running cell: nbclient passes over what arrives between two cells."""
        if self._last is not None:
            self.header(self._last)
        if self._last_output is not None:
            self.output(self._last_output)

    def conclude(self, header: Header, text: str) -> None:
        """Show all at the end, where nothing could be changed in place."""
        ShellScreen(self._shell, quiet=self._quiet).header(header, first=True, last=True)
        if text:
            sys.stdout.write(f"{text}\n")

    def notice(self, text: str) -> None:
        """Show one line that the user should not miss."""
        ShellScreen(self._shell, quiet=False).notice(text)

    def arrange(self, error: BaseException, *, where: str, verbose: bool) -> BaseException:
        """Return the exception of the cell's own code, told how to show itself."""
        return arrange(error, self._shell, where=where, verbose=verbose)

    def _publish(self, data: dict[str, Any], display_id: str, *, update: bool) -> None:
        if self._publisher is not None:  # A terminal, or what `%%capture` took, is not changed.
            self._publisher.publish(data, {}, transient={"display_id": display_id}, update=update)
