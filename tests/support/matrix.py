"""Requests for every operation of an OpenAPI document, with ids of things that somebody owns or of things that nobody has."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")

ID_FIELDS = {
    "endpoint_id": "endpoint_id",
    "endpoint_uuid": "endpoint_id",
    "endpoints": "endpoint_id",
    "function_id": "function_id",
    "function_uuid": "function_id",
    "func": "function_id",
    "allowed_functions": "function_id",
    "container_id": "container_id",
    "container_uuid": "container_id",
    "task_id": "task_id",
    "task_ids": "task_id",
    "task_group_id": "task_group_id",
    "group_id": "task_group_id",
    "map_id": "map_id",
    "blob_id": "blob_id",
    "token_id": "token_id",
    "client_id": "client_id",
    "group": "group_id",
}
"""Fields of bodies that hold ids, and of what."""

FIXED: dict[str, Any] = {
    "location": "docker://python:3.12",
    "type": "docker",
    "user": "dave",
    "function_code": "9\n04\nbody\n",
    "role": "member",
}
"""Values of other fields that must not be just any text."""

PARAMETERS = {"container_type": "docker", "user_name": "carol", "number": "0", "index": "0"}
"""Values of parameters of paths that are no ids."""


class Ids(dict[str, str]):
    """Ids by the name of the parameter that they stand for."""

    @classmethod
    def of_nothing(cls) -> Ids:
        """Ids that nobody has."""
        return cls({name: str(uuid.uuid4()) for name in {*ID_FIELDS.values(), "user_id"}})


class Operation(NamedTuple):
    """One method of one path."""

    method: str
    path: str
    described: Mapping[str, Any]

    @property
    def name(self) -> str:
        return f"{self.method.upper()} {self.path}"

    @property
    def scope(self) -> str | None:
        return self.described.get("x-scope")

    @property
    def parameters(self) -> list[str]:
        return [self._kind(each["name"]) for each in self.described["parameters"] if each["in"] == "path"]

    @property
    def ids(self) -> set[str]:
        """The kinds of ids in the path."""
        return {name for name in self.parameters if name not in PARAMETERS and name != "entry"}

    def _kind(self, parameter: str) -> str:
        # Two kinds of groups: of tasks, and of users.
        return "task_group_id" if parameter == "group_id" and "/group" not in self.path else parameter

    def address(self, ids: Mapping[str, str]) -> str:
        def value(match: re.Match[str]) -> str:
            kind = self._kind(match[1])
            return ids["function_id"] if kind == "entry" else PARAMETERS.get(kind) or ids[kind]

        query = "&".join(
            f"{each['name']}=1" for each in self.described["parameters"] if each["in"] == "query" and each["required"]
        )
        return re.sub(r"\{(\w+)\}", value, self.path) + (f"?{query}" if query else "")


class Requests:
    """Makes bodies from the schemas of a document."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document
        self._number = 0

    def operations(self) -> Iterator[Operation]:
        for path, methods in self._document["paths"].items():
            for method, described in methods.items():
                yield Operation(method, path, described)

    @staticmethod
    def is_raw(operation: Operation) -> bool:
        """Whether the body is bytes of any kind."""
        return "application/octet-stream" in operation.described.get("requestBody", {}).get("content", {})

    def id_fields(self, operation: Operation) -> set[str]:
        """The fields of the body that hold ids."""
        schema = self._body_schema(operation)
        return set() if schema is None else {name for name in schema.get("properties", {}) if _holds_ids(name)}

    def body(self, operation: Operation, ids: Mapping[str, str], *, all_ids: bool = False) -> Any:
        """A body that can be read: what is required, and with `all_ids` every other field that holds ids."""
        schema = self._body_schema(operation)
        if schema is None:
            return None
        wanted = set(schema.get("required", ())) | (self.id_fields(operation) if all_ids else set())
        return {name: self._value(schema["properties"][name], name, ids) for name in sorted(wanted)}

    def _body_schema(self, operation: Operation) -> dict[str, Any] | None:
        content = operation.described.get("requestBody", {}).get("content", {})
        return self._resolved(content["application/json"]["schema"]) if "application/json" in content else None

    def _resolved(self, schema: dict[str, Any]) -> dict[str, Any]:
        while "$ref" in schema:
            schema = self._document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
        return schema

    def _value(self, schema: dict[str, Any], name: str, ids: Mapping[str, str]) -> Any:  # noqa: C901, PLR0911 - one for each type
        schema = self._resolved(schema)
        if "anyOf" in schema:
            choices = [each for each in schema["anyOf"] if each.get("type") != "null"]
            return self._value(choices[0], name, ids)
        if name == "tasks" and schema["type"] == "object":
            return {ids["function_id"]: ["00\nx"]}
        if name == "tasks":
            return [[ids["function_id"], ids["endpoint_id"], "00\nx"]]
        if name in FIXED:
            return FIXED[name]
        self._number += 1
        match schema.get("type"):
            case "string":
                return ids[ID_FIELDS[name]] if name in ID_FIELDS else schema.get("enum", [f"n{self._number}"])[0]
            case "integer" | "number":
                return schema.get("minimum", 1)
            case "boolean":
                return False
            case "array" if "prefixItems" in schema:
                return [self._value(each, name, ids) for each in schema["prefixItems"]]
            case "array":
                return [self._value(schema.get("items", {}), name, ids)]
            case "object":
                required = schema.get("required", ())
                return {each: self._value(schema["properties"][each], each, ids) for each in required}
            case _:
                return schema.get("enum", [None])[0]


def _holds_ids(name: str) -> bool:
    return name in ID_FIELDS or name == "tasks"


def without_ids(text: str) -> str:
    """`text` with every id, number of seconds and counted name replaced, so that two answers can be compared."""
    return re.sub(r"\d+\.\d+|\bn\d+\b|\b[0-9a-f]{16}\b", "N", UUID.sub("U", text))
