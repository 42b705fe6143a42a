"""The OpenAPI document of the service, made from its routes and the structs that decode its requests."""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from funcx_core import __version__
from funcx_core.service.auth.scopes import Scope
from funcx_core.service.http_errors import ErrorBody
from funcx_core.service.route import Operation, Route

_COMPONENT: Final = "#/components/schemas/{name}"
_UUID: Final = {"type": "string", "format": "uuid"}
_RAW: Final = "application/octet-stream"
_JSON: Final = "application/json"
_FORM: Final = "application/x-www-form-urlencoded"
_CLAIMED: Final = {
    "400": "The request cannot be read, or asks for what is not possible.",
    "401": "There is no token, or it is unknown, revoked or expired.",
    "403": "The token does not have the scope that this needs.",
    "404": "What is named does not exist, or is not visible to the caller.",
    "409": "It conflicts with what is there.",
    "413": "It is larger than this service takes.",
    "429": "The caller has too many open tasks or sends requests too fast; `Retry-After` says when to try again.",
    "503": "The service is starting, stopping or overloaded; `Retry-After` says when to try again.",
}


def document(routes: Sequence[Route]) -> dict[str, Any]:
    """Return the document for these routes, as plain JSON values."""
    schemas = _Schemas(routes)
    paths: dict[str, Any] = {}
    for route in routes:
        for method, operation in route.operations():
            paths.setdefault(route.path, {})[method] = _operation(route, method, operation, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "funcX",
            "version": __version__,
            "description": "Run functions on any machine. Errors of every route have the form `ErrorBody`.",
        },
        "paths": paths,
        "components": {
            "schemas": schemas.components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "responses": {
                status: {
                    "description": text,
                    "content": {_JSON: {"schema": {"$ref": _COMPONENT.format(name="ErrorBody")}}},
                }
                for status, text in _CLAIMED.items()
            },
        },
    }


class _Schemas:
    """The schemas of all types that the routes name."""

    def __init__(self, routes: Sequence[Route]) -> None:
        operations = [operation for route in routes for _, operation in route.operations()]
        types = [kind for operation in operations for kind in _named(operation)]
        self._types = list(dict.fromkeys([*(kind for kind in types if _is_described(kind)), ErrorBody]))
        schemas, self.components = msgspec.json.schema_components(self._types, ref_template=_COMPONENT)
        self._schemas = list(schemas)

    def of(self, kind: Any) -> dict[str, Any]:
        """Return the schema of a type, or a reference to it."""
        return self._schemas[self._types.index(kind)] if _is_described(kind) else {}

    def fields(self, kind: Any) -> list[dict[str, Any]]:
        """Return the query parameters that a struct stands for."""
        schema = self.of(kind)
        if "$ref" in schema:
            schema = self.components[schema["$ref"].rsplit("/", 1)[1]]
        required = schema.get("required", ())
        return [
            {"name": name, "in": "query", "required": name in required, "schema": field}
            for name, field in schema["properties"].items()
        ]


def _named(operation: Operation) -> tuple[Any, ...]:
    return operation.body, operation.form, operation.query, operation.reply


def _is_described(kind: Any) -> bool:
    return kind is not None and kind is not bytes and kind is not Any


def _operation(route: Route, method: str, operation: Operation, schemas: _Schemas) -> dict[str, Any]:
    summary, _, more = (inspect.getdoc(getattr(route.handler, method)) or "").partition("\n\n")
    found: dict[str, Any] = {
        "operationId": f"{method}_{re.sub(r'[^a-z0-9]+', '_', route.path.lower()).strip('_')}",
        "summary": summary,
        "tags": [route.path.split("/")[2] if route.path.count("/") > 1 else "service"],
        "parameters": [
            {
                "name": name,
                "in": "path",
                "required": True,
                "schema": _UUID if name.endswith("_id") else {"type": "string"},
            }
            for name in route.parameters
        ],
        "responses": {str(operation.status): _success(operation, schemas)}
        | {status: {"$ref": f"#/components/responses/{status}"} for status in _CLAIMED},
        "security": [],
    }
    if operation.partial_status is not None:
        partly = {**_success(operation, schemas), "description": "A part was done; the rest is named, with reasons."}
        found["responses"][str(operation.partial_status)] = partly
    if operation.conditional:
        found["parameters"].append({"name": "If-None-Match", "in": "header", "schema": {"type": "string"}})
        found["responses"]["304"] = {"description": "It is as the caller knows it."}
    if more:
        found["description"] = more
    if operation.query is not None:
        found["parameters"] += schemas.fields(operation.query)
    if operation.body is not None:
        content = {_RAW: {}} if operation.body is bytes else {_JSON: {"schema": schemas.of(operation.body)}}
        found["requestBody"] = {"required": not operation.optional_body, "content": content}
    if operation.form is not None:
        found["requestBody"] = {"required": True, "content": {_FORM: {"schema": schemas.of(operation.form)}}}
    if isinstance(operation.scope, Scope):
        found["security"] = [{"token": []}]
        found["x-scope"] = operation.scope.value
    return found


def _success(operation: Operation, schemas: _Schemas) -> dict[str, Any]:
    if operation.reply is None:
        return {"description": "Done."}
    content = {_RAW: {}} if operation.reply is bytes else {_JSON: {"schema": schemas.of(operation.reply)}}
    return {"description": "Done.", "content": content}
