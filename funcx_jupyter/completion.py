"""Completion on the first line of `%%funcx` cells and on `%funcx` lines: options, endpoints, variables, verbs, tasks."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from IPython.core.completer import CompletionContext, SimpleCompletion, SimpleMatcherResult, context_matcher

from funcx_core.errors import FuncxError
from funcx_jupyter.display import words
from funcx_jupyter.options import OPTION_NAMES
from funcx_jupyter.session.state import Session
from funcx_jupyter.verbs import VERBS

_CELL = re.compile(r"^\s*%%funcx\s+(.*)$")
_LINE = re.compile(r"^\s*%funcx\s+(.*)$")
_LISTS = frozenset({"-i", "--input", "-x", "--exclude", "-o", "--output"})
_TASK_VERBS = frozenset(name for name, verb in VERBS.items() if any("TASK" in part for part in verb.form))


class Completer:
    """A matcher for IPython's completer."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._names: dict[str, Any] = {}

        @context_matcher(identifier="funcx")  # type: ignore[untyped-decorator]
        def matcher(context: CompletionContext) -> SimpleMatcherResult:
            found = self.complete(context.line_with_cursor[: context.cursor_position])
            return SimpleMatcherResult(
                completions=[SimpleCompletion(text=text, type=kind) for text, kind in found], suppress=bool(found)
            )

        self._matcher = matcher

    def install(self, shell: Any) -> None:
        """Let the shell ask."""
        self._names = shell.user_ns
        shell.Completer.custom_matchers.append(self._matcher)

    def uninstall(self, shell: Any) -> None:
        """Let it not ask any more."""
        shell.Completer.custom_matchers.remove(self._matcher)

    def complete(self, line: str) -> list[tuple[str, str]]:
        """Return completions of the last word of `line`, each with its kind."""
        if found := _CELL.match(line):
            return _starting(self._cell_words(found[1]), found[1])
        if found := _LINE.match(line):
            return _starting(self._line_words(found[1]), found[1])
        return []

    def _cell_words(self, text: str) -> Iterable[tuple[str, str]]:
        before = text.split(" ")[:-1]
        if before and before[-1] in _LISTS:
            return [(name, "variable") for name in self._names if not name.startswith("_")]
        if text.rpartition(" ")[2].startswith("-"):
            return [(option, "option") for option in OPTION_NAMES]
        return [] if before else self._endpoints()

    def _line_words(self, text: str) -> Iterable[tuple[str, str]]:
        verb, *rest = text.split(" ")
        if not rest:
            return [(known, "verb") for known in VERBS]
        if verb == "use":
            return self._endpoints()
        if verb in _TASK_VERBS:
            return [(words.short_id(task_id), "task") for task_id in reversed(self._session.tasks)]
        return [(known, "verb") for known in VERBS] if verb == "help" else []

    def _endpoints(self) -> list[tuple[str, str]]:
        try:
            rows = self._session.connection.endpoints()
        except FuncxError:
            return []
        return [(row.name, "endpoint" if row.is_online else "endpoint (offline)") for row in rows]


def _starting(candidates: Iterable[tuple[str, str]], text: str) -> list[tuple[str, str]]:
    start = re.split(r"[\s,]", text)[-1]
    return [(word, kind) for word, kind in candidates if word.startswith(start)]
