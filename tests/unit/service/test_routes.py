"""The table of routes, and the document made from it."""

from __future__ import annotations

import re

import msgspec
import pytest
from tornado import web

from funcx_core.service.auth.scopes import Scope
from funcx_core.service.openapi import document
from funcx_core.service.route import PUBLIC, Route, declared_operations, operation
from funcx_core.service.routes import ROUTES


class Body(msgspec.Struct):
    name: str
    size: int = 0


class Query(msgspec.Struct):
    wanted: str
    limit: int = 5


class Things(web.RequestHandler):
    @operation(Scope.SUBMIT, body=Body, reply=Body, status=201)
    def post(self) -> None:
        """Make a thing.

        It stays.
        """

    @operation(PUBLIC, query=Query)
    def get(self) -> None:
        """List things."""


def described() -> dict:
    return document([Route("/v2/things/{thing_id}", Things)])


def test_a_method_that_is_not_declared_cannot_be_served():
    class Forgotten(web.RequestHandler):
        def get(self) -> None: ...

    with pytest.raises(TypeError, match=r"Forgotten\.get is not declared"):
        declared_operations(Forgotten)


def test_every_route_is_declared_and_described():
    paths = document(ROUTES)["paths"]
    assert {(route.path, method) for route in ROUTES for method, _ in route.operations()} == {
        (path, method) for path, methods in paths.items() for method in methods
    }
    assert all(each["summary"] for methods in paths.values() for each in methods.values())
    ids = [each["operationId"] for methods in paths.values() for each in methods.values()]
    assert len(set(ids)) == len(ids)


def test_every_reference_of_the_document_leads_somewhere():
    found = document(ROUTES)
    text = msgspec.json.encode(found).decode()
    for reference in set(re.findall(r'"\$ref":"#/([^"]+)"', text)):
        place = found
        for step in reference.split("/"):
            place = place[step]


def test_a_body_is_described_by_the_struct_that_decodes_it():
    post = described()["paths"]["/v2/things/{thing_id}"]["post"]
    assert post["requestBody"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Body"}
    assert post["summary"] == "Make a thing."
    assert post["description"] == "It stays."
    assert "201" in post["responses"]
    assert described()["components"]["schemas"]["Body"]["required"] == ["name"]


def test_parameters_come_from_the_path_and_the_query_struct():
    get = described()["paths"]["/v2/things/{thing_id}"]["get"]
    assert [(each["name"], each["in"], each["required"]) for each in get["parameters"]] == [
        ("thing_id", "path", True),
        ("wanted", "query", True),
        ("limit", "query", False),
    ]


def test_a_scope_asks_for_a_token_and_a_public_method_for_none():
    things = described()["paths"]["/v2/things/{thing_id}"]
    assert things["post"]["security"] == [{"token": []}]
    assert things["post"]["x-scope"] == "submit"
    assert things["get"]["security"] == []


def test_a_path_is_a_pattern_with_a_group_for_each_parameter():
    route = Route("/v2/endpoints/{endpoint_id}/whitelist/{function_id}", Things)
    assert route.parameters == ["endpoint_id", "function_id"]
    found = re.fullmatch(route.pattern, "/v2/endpoints/e1/whitelist/f1")
    assert found is not None
    assert found.groups() == ("e1", "f1")
