"""The first line of a `%%funcx` cell."""

from __future__ import annotations

import argparse
import difflib
import math
import shlex
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, NoReturn

import msgspec

from funcx_jupyter.errors import MagicArgumentError
from funcx_jupyter.options import values
from funcx_jupyter.options.cell import ALL, AUTO, CANCEL, DETACH, NONE, STAGE, CellOptions
from funcx_jupyter.options.rules import fitting
from funcx_jupyter.session.environment import OFF, STRICT, WARN


class Option(msgspec.Struct, frozen=True):
    """An option of `%%funcx`, for completion. `choices`: what it may be, if that is a list."""

    name: str
    takes_value: bool
    choices: tuple[str, ...] = ()


class _Gather(argparse.Action):
    """An option that may be given several times. Its value is a tuple."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        del parser, option_string
        before = getattr(namespace, self.dest)
        setattr(namespace, self.dest, (*(before if isinstance(before, tuple) else ()), values))


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise MagicArgumentError(f"{message[:1].upper()}{message[1:]}. See `%%funcx?`.")


def _parser() -> _Parser:
    parser = _Parser(prog="%%funcx", add_help=False, allow_abbrev=False, formatter_class=argparse.RawTextHelpFormatter)
    add = parser.add_argument
    add("endpoint", nargs="?", help="where to run: name or id of an endpoint (default: see `%%funcx use`)")
    add("--shell", action="store_true", help="the cell is a script for bash; -i names variables of its environment")
    add("-i", "--input", metavar="a,b", help="variables to send: a list of names, `auto` (default) or `none`")
    add("-x", "--exclude", metavar="a,b", type=values.names, default=(), help="variables not to send")
    add(
        "-o",
        "--output",
        metavar="x,y",
        type=values.names,
        default=(),
        help="variables to bring back when the cell has succeeded;\n'*' for all it assigns",
    )
    add(
        "--ref",
        metavar="x,y",
        dest="refs",
        type=values.names,
        default=(),
        help="variables to leave on the endpoint, for later cells there;\nhere their names are references",
    )
    manner = parser.add_mutually_exclusive_group()
    manner.add_argument("-a", "--async", dest="is_async", action="store_true", help="return at once, with a task")
    manner.add_argument(
        "-b", "--blocking", dest="is_async", action="store_false", help="wait for the end (default); ■ stops it"
    )
    add("-n", "--name", metavar="NAME", type=values.name, help="name of the task; with -a also a variable")
    add(
        "--after",
        metavar="T1,T2",
        type=values.tasks,
        default=(),
        help="start when these tasks have succeeded: names or ids, of cells sent with -a",
    )
    trial = parser.add_mutually_exclusive_group()
    trial.add_argument(
        "--local", action="store_true", help="run here, with copies of the variables, as it would run there"
    )
    trial.add_argument("--compare", action="store_true", help="run here and there, and show what differs")
    add(
        "--map",
        metavar="v=iterable",
        type=values.clause,
        help="run once for each element, with v bound to it; the value and -o are lists\nsuch as --map seed=range(200)",
    )
    add(
        "--chunk",
        metavar="N",
        type=values.chunk,
        help="with --map: elements that travel as one (default: measured)",
    )
    offline = parser.add_mutually_exclusive_group()
    offline.add_argument(
        "--wait-endpoint",
        metavar="SECS",
        type=values.seconds,
        help="if the endpoint is offline, wait for it this long",
    )
    offline.add_argument("--fallback", metavar="EP", help="if the endpoint is offline, run there instead")
    add(
        "--env",
        choices=(STRICT, WARN, OFF),
        default=STRICT,
        help="a module that the endpoint does not have: refuse the cell (default),\nsay so, or send it all the same, also with names that are not defined here",
    )
    add("-t", "--timeout", metavar="SECS", type=values.seconds, help="stop the cell after this time")
    add(
        "--retries",
        metavar="N",
        type=values.retries,
        default=0,
        help="run again, up to N times, if the worker or endpoint dies",
    )
    add(
        "--priority",
        metavar="N",
        type=values.priority,
        default=0,
        help="how urgent it is among your tasks there: -100 to 100",
    )
    add(
        "--resource",
        metavar="cpus=4,mem=8,gpu=1",
        dest="resources",
        type=values.resources,
        help="what the cell needs of its node; memory in GB",
    )
    add("--container", metavar="ID", type=values.container, help="run in this registered container")
    add(
        "--requires",
        metavar="'numpy>=2'",
        action=_Gather,
        type=values.requirement,
        default=(),
        help="refuse to run where this package is not installed;\nmay be given several times",
    )
    add(
        "--on-interrupt",
        choices=(CANCEL, DETACH),
        default=CANCEL,
        help="what ■ does: stop the task (default), or leave it running;\npressed again while the task is being stopped, it stops waiting",
    )
    add(
        "--stream",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="show output while the cell runs (default), or at its end",
    )
    add(
        "--progress",
        choices=(AUTO, "text", OFF),
        default=AUTO,
        help="bars of tqdm, rich and funcx_jupyter.progress: as bars (default), as the characters they write, or not at all",
    )
    add("-q", "--quiet", action="store_true", help="no line about the task")
    add("-v", "--verbose", action="store_true", help="frames of libraries in tracebacks, the full task id")
    add(
        "--cache",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="attach to the task of this very cell if it still runs (default), or submit again",
    )
    add(
        "--stage",
        metavar="SECS",
        type=values.seconds,
        default=STAGE,
        help="send large inputs unasked if that takes no longer than this (default 60)",
    )
    add("--yes", action="store_true", help="send large inputs, however long that takes")
    add("--explain", action="store_true", help="show what would be sent, and send nothing")
    return parser


_PARSER: Final = _parser()
OPTIONS: Final = {
    spelling: Option(action.dest, action.nargs != 0, tuple(action.choices or ()))
    for action in _PARSER._actions  # noqa: SLF001 - there is no public list of them
    for spelling in action.option_strings
}
HELP: Final = _PARSER.format_help()
_SETTABLE: Final = frozenset(
    {
        "endpoint",
        "env",
        "timeout",
        "retries",
        "priority",
        "resource",
        "container",
        "stream",
        "progress",
        "on_interrupt",
        "wait_endpoint",
        "fallback",
        "cache",
        "stage",
        "quiet",
        "verbose",
    }
)


def settable() -> list[tuple[str, argparse.Action, str]]:
    """Return the options that may have defaults: name, the parser's action, and what it is for in one line."""
    actions = [(_setting(action), action) for action in _PARSER._actions]  # noqa: SLF001 - as above
    return [(name, action, " ".join(str(action.help).split())) for name, action in actions if name in _SETTABLE]


def _setting(action: argparse.Action) -> str:
    spelled = next((one for one in action.option_strings if one.startswith("--")), action.dest)
    return spelled.lstrip("-").replace("-", "_")


def parse_cell_line(line: str, defaults: Mapping[str, Any] = MappingProxyType({})) -> CellOptions:
    """Return what the line asks for; what it leaves open is as in `defaults`, by the names that the parser has for options.

    Raises:
        MagicArgumentError: naming what is wrong and what was probably meant.
    """
    return fitting(_options(_parsed(line, defaults)))


def given(line: str) -> dict[str, Any]:
    """Return only what the line says, by the names that the parser has for options. Raises as `parse_cell_line` does."""
    nothing = object()
    found = vars(_parsed(line, {option.name: nothing for option in OPTIONS.values()}))
    return {name: value for name, value in found.items() if value is not nothing and value is not None}


def _parsed(line: str, defaults: Mapping[str, Any]) -> argparse.Namespace:
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise MagicArgumentError(f"{str(error).capitalize()} in `%%funcx {line.strip()}`. See `%%funcx?`.") from None
    found, rest = _PARSER.parse_known_args(words, argparse.Namespace(**defaults))
    if rest:
        refuse(rest[0])
    return found


def _options(found: Any) -> CellOptions:
    inputs = None if found.input in {None, AUTO} else () if found.input == NONE else _checked_names(found.input)
    return CellOptions(
        endpoint=found.endpoint,
        is_shell=found.shell,
        inputs=inputs,
        exclude=found.exclude,
        outputs=found.output,
        refs=_checked_refs(found.refs, found.output),
        walltime=found.timeout,
        retries=found.retries,
        priority=found.priority,
        resources=found.resources,
        container=found.container,
        requires=found.requires,
        on_interrupt=found.on_interrupt,
        stream=found.stream,
        progress=found.progress,
        quiet=found.quiet,
        verbose=found.verbose,
        explain=found.explain,
        cache=found.cache,
        env=found.env,
        wait_endpoint=found.wait_endpoint,
        fallback=found.fallback,
        is_async=found.is_async,
        name=found.name or "",
        after=found.after,
        local=found.local,
        compare=found.compare,
        map=found.map,
        chunk=found.chunk,
        stage=math.inf if found.yes else found.stage,
    )


def _checked_refs(refs: tuple[str, ...], outputs: tuple[str, ...]) -> tuple[str, ...]:
    if ALL in refs:
        raise MagicArgumentError(f"Argument --ref: name the variables one by one, not `{ALL}`. See `%%funcx?`.")
    if both := next((name for name in refs if name in outputs), ""):
        raise MagicArgumentError(
            f"`{both}` is named with -o and with --ref: it comes back, or it stays. See `%%funcx?`."
        )
    return refs


def _checked_names(text: str) -> tuple[str, ...]:
    try:
        return values.names(text)
    except argparse.ArgumentTypeError as error:
        raise MagicArgumentError(f"Argument -i/--input: {error}. See `%%funcx?`.") from None


def refuse(word: str) -> NoReturn:
    """Refuse a word that is no option.

    Raises:
        MagicArgumentError: with what was probably meant.
    """
    option = word.partition("=")[0]
    if not option.startswith("-"):
        raise MagicArgumentError(f"`{word}` is one argument too many: %%funcx takes one endpoint. See `%%funcx?`.")
    near = difflib.get_close_matches(option, OPTIONS, n=1, cutoff=0.7)
    hint = f" Did you mean `{near[0]}`?" if near else ""
    raise MagicArgumentError(f"`{option}` is not an option of %%funcx.{hint} See `%%funcx?`.")
