"""The client's methods about functions."""

from __future__ import annotations

from typing import Any

from funcx_core.sdk.client_core import ClientCore
from funcx_core.serialize import PackedFunction


class FunctionMethods(ClientCore):
    """Registering functions."""

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
            searchable: kept for old callers.

        Raises:
            SerializationError: it cannot be sent.
        """
        packed = PackedFunction(function)
        name = function_name or packed.name
        answer = self._web.post(
            "functions",
            body={
                "function_name": name,
                "function_code": packed.body.decode(),
                "function_source": "",
                "container_uuid": container_uuid,
                "entry_point": name,
                "description": description,
                "public": public,
                "group": group,
                "searchable": searchable,
            },
        )
        return str(answer["function_uuid"])
