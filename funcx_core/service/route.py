"""What each method of a route promises: who may call it, what it reads, what it answers.

A handler's method is declared by `operation`; one that is not cannot be served. The OpenAPI document is made from these
declarations, and the handler reads its request by the same structs, so the document cannot tell another story.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple, TypeVar

import msgspec
from tornado import web

from funcx_core.service.auth.scopes import Scope

METHODS: Final = ("get", "post", "put", "delete")
PUBLIC: Final = None
"""In place of a scope: no token is needed."""

_PARAMETER: Final = re.compile(r"\{(\w+)\}")
_DECLARATION: Final = "__operation__"

F = TypeVar("F", bound=Callable[..., Any])


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """The promise of one method.

    Attributes:
        scope: the right that the token must have; `PUBLIC` for none.
        body: the struct that the JSON body is decoded with; None if there is no body. `bytes` for a raw body.
        form: the struct that a body of HTML form fields is converted to, in place of `body`.
        query: the struct that the query parameters are converted to; its fields are strings, numbers or booleans.
        reply: the type of the JSON answer; None for an empty answer, `bytes` for a raw one. `Any` is not described.
        status: of the answer when all goes well.
        optional_body: whether the body may be left out.
        partial_status: of the answer when only a part went well, if that can be.
        conditional: whether the answer has an ``ETag``, and is 304 where the caller's ``If-None-Match`` names it.
    """

    scope: Scope | None
    body: Any = None
    form: Any = None
    query: Any = None
    reply: Any = Any
    status: int = 200
    optional_body: bool = False
    partial_status: int | None = None
    conditional: bool = False


def operation(
    scope: Scope | None,
    *,
    body: Any = None,
    form: Any = None,
    query: Any = None,
    reply: Any = Any,
    status: int = 200,
    optional_body: bool = False,
    partial_status: int | None = None,
    conditional: bool = False,
) -> Callable[[F], F]:
    """Declare a method of a handler; see `Operation`."""
    declared = Operation(
        scope=scope,
        body=body,
        form=form,
        query=query,
        reply=reply,
        status=status,
        optional_body=optional_body,
        partial_status=partial_status,
        conditional=conditional,
    )

    def declare(method: F) -> F:
        setattr(method, _DECLARATION, declared)
        return method

    return declare


def declared_operations(handler: type[web.RequestHandler]) -> dict[str, Operation]:
    """Return the operations of a handler by the name of their HTTP method, in lower case.

    Raises:
        TypeError: it has a method that is not declared.
    """
    unset = web.RequestHandler._unimplemented_method  # noqa: SLF001 - Tornado has no public name for it
    found = {}
    for name in METHODS:
        method = getattr(handler, name)
        if method is unset:
            continue
        declared = getattr(method, _DECLARATION, None)
        if declared is None:
            raise TypeError(f"{handler.__qualname__}.{name} is not declared by @operation.")
        found[name] = declared
    return found


class Route(NamedTuple):
    """A path such as ``/v2/tasks/{task_id}`` and its handler. The name of a parameter says what kind of id it is."""

    path: str
    handler: type[web.RequestHandler]

    @property
    def pattern(self) -> str:
        """The path as a regular expression, with one group for each parameter."""
        return _PARAMETER.sub("([^/]+)", self.path)

    @property
    def parameters(self) -> list[str]:
        """The names of the path's parameters, in order."""
        return _PARAMETER.findall(self.path)

    def operations(self) -> Iterator[tuple[str, Operation]]:
        """Yield HTTP methods, in lower case, and what they promise."""
        yield from declared_operations(self.handler).items()
