"""Completion on the first line of `%%funcx` cells and on `%funcx` lines: options and their values, endpoints, variables, verbs, tasks."""

from __future__ import annotations

import re
import time
from collections.abc import Container, Iterable
from typing import Any, Final

from IPython.core.completer import CompletionContext, SimpleCompletion, SimpleMatcherResult, context_matcher

from funcx_core.cells.spec import LAST_VALUE
from funcx_core.errors import FuncxError
from funcx_jupyter.display import words
from funcx_jupyter.options.parser import OPTIONS
from funcx_jupyter.session.endpoints import Endpoint
from funcx_jupyter.session.state import Session
from funcx_jupyter.settings.keys import SETTINGS
from funcx_jupyter.verbs.lines import Verb
from funcx_jupyter.verbs.lists import STATES
from funcx_jupyter.verbs.table import VERBS

Words = Iterable[tuple[str, str]]
_CELL: Final = re.compile(r"^\s*%%(\w+)\s+(.*)$")
_LINE: Final = re.compile(r"^\s*(?:[\w.,\s]+=\s*)?%(\w+)\s+(.*)$")
_NAME: Final = "funcx"
_LISTS: Final = frozenset({"input", "exclude", "output", "refs"})
_ENDPOINTS: Final = frozenset({"fallback", "endpoint"})

_KEPT: Final = 3.0
"""Seconds for which endpoints are not asked for again: a front end asks with every key."""


class Completer:
    """A matcher for IPython's completer.

    Args:
        session: knows endpoints and tasks.
        own: names of magics that the user has made of `%%funcx`.
    """

    def __init__(self, session: Session, own: Container[str] = ()) -> None:
        self._session = session
        self._own = own
        self._names: dict[str, Any] = {}
        self._rows: list[Endpoint] = []
        self._rows_until = 0.0

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
        if (found := _CELL.match(line)) and self._is_ours(found[1]):
            return _starting(self._cell_words(found[2]), found[2])
        if (found := _LINE.match(line)) and self._is_ours(found[1]):
            words = self._line_words(found[2]) if found[1] == _NAME else self._expression_words(found[2])
            return _starting(words, found[2])
        return []

    def _is_ours(self, magic: str) -> bool:
        return magic == _NAME or magic in self._own

    def _cell_words(self, text: str) -> Words:
        *before, last = text.split(" ")
        option = OPTIONS.get(before[-1]) if before else None
        if option is not None and option.takes_value:
            return self._values(option.name, option.choices)
        if last.startswith("-"):
            return [(name, "option") for name in OPTIONS]
        return [] if _has_endpoint(before) else self._endpoints()

    def _values(self, option: str, choices: tuple[str, ...]) -> Words:
        if option in _LISTS:
            return self._variables()
        if option == "after":
            return self._tasks()
        named: Words = [(choice, "value") for choice in choices]
        return [*named, *self._endpoints()] if option in _ENDPOINTS else named

    def _variables(self) -> Words:
        return [(name, "variable") for name in self._names if not name.startswith("_")]

    def _line_words(self, text: str) -> Words:
        name, *rest = text.split(" ")
        if not rest and not name.startswith("-"):
            return [*((known, "verb") for known in VERBS), *self._endpoints(), *self._variables()]
        verb = VERBS.get(name)
        return self._expression_words(text) if verb is None else self._verb_words(verb, rest)

    def _expression_words(self, text: str) -> Words:
        """Return the options and endpoints before an expression, and variables in it; all else of it is the shell's."""
        *before, last = text.split(" ")
        option = OPTIONS.get(before[-1]) if before else None
        if last.startswith("-") or option is not None:
            return self._cell_words(text)
        return self._variables() if before else self._endpoints()

    def _verb_words(self, verb: Verb, rest: list[str]) -> Words:
        *before, last = rest
        if before and (wanted := verb.options.get(before[-1])):
            return self._places(wanted)
        options = {**OPTIONS} if verb.reads_words else {}
        if before and (option := options.get(before[-1])) is not None and option.takes_value:
            return self._values(option.name, option.choices)
        if last.startswith("-"):
            return [(spelling, "option") for spelling in [*verb.options, *options]]
        places = verb.places
        taken = sum(not word.startswith("-") for word in before)
        place = places[min(taken, len(places) - 1)] if places else ""
        if "VALUE" in place and before[0] in SETTINGS:
            return self._values(before[0], SETTINGS[before[0]].choices)
        return self._places(place) if taken < len(places) or "..." in place else []

    def _places(self, what: str) -> Words:
        if "ENDPOINT" in what:
            return self._endpoints()
        if "TASK" in what:
            return self._left_behind() if "VARIABLE" in what else self._tasks()
        if "KEY" in what:
            return [(name, "setting") for name in SETTINGS]
        if "STATE" in what:
            return [(state, "state") for state in STATES]
        if "|" in what:
            return [(choice, "value") for choice in what.strip("[]").split("|")]
        return [(known, "verb") for known in VERBS] if "VERB" in what else []

    def _tasks(self) -> Words:
        """Return the tasks of this notebook, also of earlier kernels, by their names and four letters; the newest first."""
        names = {words.short_id(task_id): record.name for task_id, record in reversed(self._session.tasks.items())}
        try:
            for known in reversed(self._session.known_submissions()):
                names.setdefault(words.short_id(known.task_id), known.name)
        except FuncxError:
            pass  # Without a service there is nothing to complete.
        named = dict.fromkeys(name for name in names.values() if name)
        return [*((name, "task") for name in named), *((short, "task") for short in names)]

    def _left_behind(self) -> Words:
        """Return the variables of tasks, as `%funcx fetch` takes them; the newest first."""
        try:
            known = list(reversed(self._session.known_submissions()))
        except FuncxError:
            return []
        return [
            (f"{called}.{name}", "variable")
            for one in known
            for called in (one.name, words.short_id(one.task_id))
            for name in (*one.variables, LAST_VALUE)
            if called
        ]

    def _endpoints(self) -> Words:
        if time.monotonic() > self._rows_until:
            try:
                self._rows = self._session.connection.endpoints(patiently=False)
            except FuncxError:
                self._rows = []
            self._rows_until = time.monotonic() + _KEPT
        return [*self._rows_as_words(), *((name, "alias") for name in self._aliases())]

    def _aliases(self) -> Iterable[str]:
        try:
            return self._session.configuration.aliases()
        except FuncxError:
            return ()  # A file that cannot be read: cells say so.

    def _rows_as_words(self) -> Words:
        return [(row.name, "endpoint" if row.is_online else "endpoint (offline)") for row in self._rows]


def _has_endpoint(words_before: list[str]) -> bool:
    """Whether one of the words is the endpoint, rather than an option or what belongs to one."""
    is_value = False
    for word in words_before:
        if not is_value and word and not word.startswith("-"):
            return True
        option = OPTIONS.get(word)
        is_value = option is not None and option.takes_value
    return False


def _starting(candidates: Words, text: str) -> list[tuple[str, str]]:
    start = re.split(r"[\s,(\[{]", text)[-1]
    return [(word, kind) for word, kind in candidates if word.startswith(start)]
