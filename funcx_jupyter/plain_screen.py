"""Where the output of cells goes in plain Python: text to the standard streams."""

from __future__ import annotations

import sys
from typing import Any

from funcx_jupyter.display.bars import BarsView, TerminalBars
from funcx_jupyter.display.header import Header


class PlainScreen:
    """Prints what a cell prints, and the text form of what it shows.

    Args:
        quiet: print no line about the task at its end.
    """

    def __init__(self, *, quiet: bool = True) -> None:
        self._quiet = quiet

    @property
    def publisher(self) -> PlainScreen:
        """What shows rich output."""
        return self

    @property
    def stop_key(self) -> str:
        """What the user presses to stop the cell."""
        return "Ctrl-C"

    def before_text(self, text: str) -> None:
        """There is no line that would be in its way."""

    @property
    def is_live(self) -> bool:
        """Nothing can be changed later."""
        return False

    def publish(
        self, data: dict[str, Any], metadata: dict[str, Any], *, transient: dict[str, Any], update: bool
    ) -> None:
        """Print the text form. A change of something printed is printed, too, as in a terminal."""
        del metadata, transient, update
        sys.stdout.write(f"{data.get('text/plain', '')}\n")

    def clear_output(self, *, wait: bool) -> None:
        """What is printed stays."""

    def header(self, header: Header, *, first: bool = False, last: bool = False) -> None:
        """Print how the task ended."""
        del first
        if last and not self._quiet:
            sys.stderr.write(f"{header.as_text()}\n")

    def hidden(self, line: str, first: bool, last: bool) -> None:
        """Print the line about what is hidden when all of it is known."""
        del first
        if last:
            sys.stdout.write(f"\n{line}\n")

    def bars(self) -> BarsView:
        """Return a line for progress bars."""
        return TerminalBars()

    def conclude(self, header: Header, text: str) -> None:
        """Show all at the end, where nothing could be changed in place."""
        if text:
            sys.stdout.write(f"{text}\n")
        self.header(header, last=True)

    def notice(self, text: str) -> None:
        """Print one line that the user should not miss."""
        sys.stderr.write(f"{text}\n")

    def arrange(self, error: BaseException, *, where: str, verbose: bool) -> BaseException:
        """Return the exception of the cell's own code with a note where it came from; its cause is the traceback there."""
        del verbose
        note = f"({where})"
        if note not in getattr(error, "__notes__", ()):
            error.add_note(note)
        return error

    def open(self, header: Header) -> None:
        """Nothing can be changed later."""

    def show_again(self) -> None:
        """Nothing can be changed later."""

    def confirm(self) -> None:
        """Nothing can be changed later."""

    def output(self, bundle: dict[str, str]) -> None:
        """Nothing can be changed later."""
