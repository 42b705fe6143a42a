"""What follows an option of `%%funcx`, as the value that it means. Each raises `ArgumentTypeError` with what is wrong. Pure."""

from __future__ import annotations

import argparse
import keyword

from funcx_core.errors import InvalidId
from funcx_core.ids import ContainerId, parse_id
from funcx_core.protocol.ranges import MOST_CALLS
from funcx_core.protocol.resources import Resources, priority_fault
from funcx_core.sdk.options import as_resources
from funcx_jupyter.cellmaps.clause import MapClause, parse_clause
from funcx_jupyter.options.cell import ALL


def names(text: str) -> tuple[str, ...]:
    """Return the names of variables in a list."""
    found = tuple(one for part in text.split(",") if (one := part.strip()))
    wrong = [one for one in found if not one.isidentifier() and one != ALL]
    if wrong:
        raise argparse.ArgumentTypeError(f"'{wrong[0]}' is not the name of a variable")
    return found


def tasks(text: str) -> tuple[str, ...]:
    """Return the names and ids of tasks in a list, each once."""
    return tuple(dict.fromkeys(one for part in text.split(",") if (one := part.strip())))


def name(text: str) -> str:
    """Return the name of a variable."""
    if not text.isidentifier() or keyword.iskeyword(text):
        raise argparse.ArgumentTypeError(f"'{text}' cannot be the name of a variable")
    return text


def seconds(text: str) -> float:
    """Return a time limit."""
    try:
        limit = float(text.removesuffix("s"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number of seconds") from None
    if not limit > 0:
        raise argparse.ArgumentTypeError("the time limit must be more than 0 seconds")
    return limit


def retries(text: str) -> int:
    """Return how often a cell may be run again."""
    if not text.isdigit() or int(text) > 10:  # noqa: PLR2004 - the limit of `TaskOptions.retry_on_loss`
        raise argparse.ArgumentTypeError(f"'{text}' is not a number from 0 to 10")
    return int(text)


def priority(text: str) -> int:
    """Return a priority."""
    try:
        number = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number from -100 to 100") from None
    if (fault := priority_fault(number)) is not None:
        raise argparse.ArgumentTypeError(fault.rstrip("."))
    return number


def resources(text: str) -> Resources | None:
    """Return what a cell needs of its node."""
    pairs = [part.partition("=") for part in text.split(",") if part.strip()]
    try:
        return as_resources({key.strip(): _number(amount) for key, _, amount in pairs})
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error).removeprefix("resources: ").rstrip(".")) from None


def container(text: str) -> ContainerId:
    """Return the id of a registered container."""
    try:
        return ContainerId(parse_id(text, "container id"))
    except InvalidId:
        raise argparse.ArgumentTypeError(
            f"'{text}' is not the id of a container, which `register_container` of a FuncXClient returns"
        ) from None


def requirement(text: str) -> str:
    """Return a requirement of a package, in its usual spelling."""
    from packaging.requirements import InvalidRequirement, Requirement  # noqa: PLC0415 - few cells need it

    try:
        found = Requirement(text)
    except InvalidRequirement:
        raise argparse.ArgumentTypeError(
            f"'{text}' is not a requirement such as 'numpy>=2'; for several packages give the option several times"
        ) from None
    if found.url:
        raise argparse.ArgumentTypeError(f"'{text}' names a place to install from; name the package and its version")
    return str(found)


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        raise ValueError(f"'{text.strip()}' is not a number; write it such as cpus=4,mem=8,gpu=1") from None
    return int(number) if number.is_integer() else number


def clause(text: str) -> MapClause:
    """Return what a cell is mapped over."""
    try:
        return parse_clause(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def chunk(text: str) -> int:
    """Return how many elements travel as one."""
    if not text.isdigit() or not 0 < int(text) <= MOST_CALLS:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number from 1 to {MOST_CALLS:,}")
    return int(text)
