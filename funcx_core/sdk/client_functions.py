"""The client's methods about functions."""

from __future__ import annotations

import inspect
import textwrap
from typing import Any, Final
from urllib.parse import urlencode

from funcx_core.commands.function import ShellFunction
from funcx_core.errors import UsageError
from funcx_core.ids import new_function_id, parse_id
from funcx_core.sdk.client_core import ClientCore
from funcx_core.sdk.search import FunctionSearchResults
from funcx_core.serialize import PackedFunction, check_loads

_LONGEST_SOURCE: Final = 64 * 1024


class FunctionMethods(ClientCore):
    """Registering functions, and finding them again."""

    use_offprocess_checker: bool

    def register_function(  # noqa: PLR0917 - the documented order of arguments
        self,
        function: Any,
        function_name: str | None = None,
        container_uuid: str | None = None,
        description: str | None = None,
        public: bool = False,
        group: str | None = None,
        searchable: bool = True,
    ) -> str:
        """Make a function known to the service and return its id.

        Args:
            function: the function; what it imports is best imported inside it.
            function_name: a name for people; the function's own if it is None.
            container_uuid: a registered container to run it in.
            description: a text for people.
            public: whether everybody may use it.
            group: a group whose members may use it.
            searchable: whether `search_function` finds it, also by words of its source, for those who may use it.

        Raises:
            SerializationError: it cannot be sent; or, with `use_offprocess_checker`, it does not load in a clean Python.
        """
        packed = PackedFunction(function)
        if self.use_offprocess_checker:
            check_loads(packed.name, packed.body)
        name = function_name or packed.name
        answer = self._web.post(
            "functions",
            body={
                "function_name": name,
                "function_code": packed.body.decode(),
                "function_uuid": new_function_id(),  # made here, so that the request may be repeated
                "function_source": _source_of(function) if searchable else "",
                "container_uuid": container_uuid,
                "entry_point": name,
                "description": description,
                "public": public,
                "group": group,
                "searchable": searchable,
            },
        )
        return str(answer["function_uuid"])

    def get_function(self, function_id: str) -> dict[str, Any]:
        """Return what the service knows of a function: ``function_uuid``, ``function_name``, ``description`` and more."""
        return dict(self._web.get("functions", parse_id(function_id, "function id")))

    def delete_function(self, function_id: str) -> None:
        """Remove a function of yours. Tasks that were submitted before still run."""
        self._web.delete("functions", parse_id(function_id, "function id"))

    def search_function(
        self, q: str, offset: int = 0, limit: int = 10, advanced: bool = False
    ) -> FunctionSearchResults:
        """Return the functions that match a text and that you may use. Print it for a table.

        Args:
            q: words that name, description or source have.
            offset: how many to skip.
            limit: how many to return at most.
            advanced: take ``name:…``, ``description:…`` and ``owner:…`` in `q` as conditions on that field.
        """
        if offset < 0 or limit < 1:
            raise UsageError(f"offset is {offset} and limit {limit}; they must be at least 0 and 1.")
        query = urlencode({"q": q, "offset": offset, "limit": limit, "advanced": str(advanced).lower()})
        return FunctionSearchResults(self._web.get("functions", query=query))


def _source_of(function: Any) -> str:
    """Return the source of a function for people to read; empty where there is none, or too much."""
    if isinstance(function, ShellFunction):
        return function.cmd[:_LONGEST_SOURCE]
    try:
        source = textwrap.dedent(inspect.getsource(function))
    except (OSError, TypeError):
        return ""
    return source if len(source) <= _LONGEST_SOURCE else ""
