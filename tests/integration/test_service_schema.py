"""The service keeps what its OpenAPI document promises: requests made up from the document, valid ones and others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import response_schema_conformance, status_code_conformance

from funcx_core.service.routes import ROUTES
from tests.support.fabric import Fabric

CHECKS = [not_a_server_error, status_code_conformance, response_schema_conformance]
EXAMPLES = 6
NO_JSON = {"/v2/stream", "/ws/v2/", "/metrics"}
OPERATIONS = sorted(
    (route.path, method) for route in ROUTES for method, _ in route.operations() if route.path not in NO_JSON
)


class Service:
    def __init__(self, fabric: Fabric) -> None:
        self.url = fabric.address.removesuffix("/v2")
        self.headers = {"Authorization": f"Bearer {fabric.token}"}
        self.schema = schemathesis.openapi.from_url(f"{self.url}/openapi.json")
        self.session = requests.Session()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with Fabric(Path(tmp_path_factory.mktemp("schema")), endpoints=()) as fabric:
        yield Service(fabric)


@pytest.mark.xdist_group("schema")
@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_requests_made_up_from_the_document(service: Service, path: str, method: str) -> None:
    operation = service.schema[path][method.upper()]

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
        database=None,
    )
    @given(
        case=operation.as_strategy(generation_mode=GenerationMode.POSITIVE)
        | operation.as_strategy(generation_mode=GenerationMode.NEGATIVE)
    )
    def try_them(case: Any) -> None:
        response = case.call(headers=service.headers, session=service.session, timeout=30)
        case.validate_response(response, checks=CHECKS)

    try_them()
