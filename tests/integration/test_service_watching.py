"""Metrics, the overview, request ids, limits of rate and pages, over HTTP."""

from __future__ import annotations

import asyncio
import json
import logging
from base64 import b64encode
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from funcx_core.ids import new_group_id, new_task_id
from funcx_core.protocol.client import Accepted, Refused, Submit
from funcx_core.protocol.task import Call, TaskError, TaskResult, TaskState, TaskTimes
from funcx_core.service.auth.scopes import Scope
from funcx_core.service.config import LogConfig, MetricsConfig, RateConfig
from tests.support.stored import ALICE
from tests.support.webservice import TestedService, a_service


async def three_tasks(service: TestedService) -> str:
    """One that succeeded, one that failed, one that waits."""
    endpoint_id, function_id = await service.an_endpoint(), await service.a_function()
    await service.post("submit", {"tasks": [[function_id, endpoint_id, "00\nx"]] * 3})
    offers = [offer for _, offer in await service.offers(3)]
    task = offers[0].task
    second = 1_000_000_000
    times = TaskTimes(second, 2 * second, 3 * second, 5 * second)
    await service.end(endpoint_id, offers[0], TaskResult(task.task_id, 1, TaskState.SUCCESS, b"pb\n1", times=times))
    failed = TaskResult(offers[1].task.task_id, 1, TaskState.FAILED, error=TaskError(code="task_failed", message="no"))
    await service.end(endpoint_id, offers[1], failed)
    return endpoint_id


async def metrics(service: TestedService, **more) -> dict[tuple[str, tuple[str, ...]], float]:
    response = await service.request("GET", "/metrics", token="", **more)
    assert response.code == 200, response.body
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(response.body.decode())
        for sample in family.samples
    }


# --- metrics ---------------------------------------------------------------------------------------------------


async def test_metrics_tell_what_happened(tmp_path: Path) -> None:
    async with a_service(tmp_path) as service:
        endpoint_id = await three_tasks(service)
        found = await metrics(service)
    assert found["funcx_tasks_open", ("received",)] == 1
    assert found["funcx_queue_depth", (endpoint_id,)] == 1
    assert found["funcx_tasks_submitted_total", ()] == 3
    assert found["funcx_tasks_ended_total", ("success",)] == found["funcx_tasks_ended_total", ("failed",)] == 1
    assert found["funcx_endpoints", ()] == 1
    assert found["funcx_http_requests_total", ("POST", "/v2/submit", "200")] == 1
    assert found["funcx_http_seconds_count", ("/v2/submit",)] == 1
    assert found["funcx_task_seconds_bucket", ("run", "3.0")] == 1
    assert found["funcx_task_seconds_bucket", ("run", "1.0")] == 0
    assert found["funcx_task_seconds_sum", ("run",)] == 2
    assert found["funcx_commit_seconds_count", ()] > 3
    assert found["funcx_streams", ()] == 0
    assert found["process_open_fds", ()] > 3


async def test_paths_that_are_no_routes_share_a_label(tmp_path: Path) -> None:
    async with a_service(tmp_path) as service:
        for path in ("one", "two"):
            await service.request("GET", path)
        await service.request("GET", "/v2/tasks/%61", token="")
        found = await metrics(service)
    assert found["funcx_http_requests_total", ("any", "other", "404")] == 2
    assert found["funcx_http_requests_total", ("GET", "/v2/tasks/{task_id}", "401")] == 1


async def test_others_need_a_token_for_metrics(tmp_path: Path) -> None:
    async with a_service(tmp_path) as service:
        from_a_proxy = {"X-Forwarded-For": "198.51.100.1"}
        assert (await service.request("GET", "/metrics", token="", headers=from_a_proxy)).code == 401
        assert (await service.request("GET", "/metrics", headers=from_a_proxy)).code == 200
        submit_only = await service.tokens.mint(ALICE, label="x", scopes=frozenset({Scope.SUBMIT}))
        assert (await service.request("GET", "/metrics", token=submit_only, headers=from_a_proxy)).code == 403
    async with a_service(tmp_path / "closed", metrics=MetricsConfig(from_loopback=False)) as service:
        assert (await service.request("GET", "/metrics", token="")).code == 401
    async with a_service(tmp_path / "none", metrics=MetricsConfig(enabled=False)) as service:
        assert (await service.request("GET", "/metrics")).code == 404


# --- overview --------------------------------------------------------------------------------------------------


async def test_the_overview_has_everything_that_is_mine_and_nothing_else(tmp_path: Path) -> None:
    async with a_service(tmp_path) as service:
        endpoint_id = await three_tasks(service)
        mine = await service.get("overview")
        others = await service.get("overview", token=service.bob)
    assert mine["open"]["received"] == 1
    assert mine["ended"] == {"cancelled": 0, "failed": 1, "success": 1}
    assert [each["endpoint_id"] for each in mine["endpoints"]] == [endpoint_id]
    assert mine["endpoints"][0]["open"] == {"received": 1}
    assert [each["state"] for each in mine["tasks"]] == ["received", "failed", "success"]
    assert mine["tasks"][2]["times"]["started"] == 3000
    assert mine["tasks"][2]["function_name"] == mine["functions"][0]["name"] == "double"
    assert others["endpoints"] == others["tasks"] == others["functions"] == []
    assert sum(others["open"].values()) + sum(others["ended"].values()) == 0


# --- signing in to the page ------------------------------------------------------------------------------------


async def test_a_code_becomes_a_token_that_may_only_look(tmp_path: Path) -> None:
    async with a_service(tmp_path) as service:
        code = (await service.post("login_codes", {}))["code"]
        token = (await service.post("login_codes/exchange", {"code": code}, token=""))["token"]
        assert (await service.get("overview", token=token))["service"]["user"] == ALICE.name
        assert (await service.request("POST", "endpoints", {"endpoint_name": "x"}, token=token)).code == 403
        assert (await service.request("POST", "login_codes/exchange", {"code": code}, token="")).code == 401
        assert (await service.request("POST", "login_codes", {}, token="")).code == 401


async def test_pages_run_nothing_from_elsewhere(tmp_path: Path) -> None:
    async with a_service(tmp_path) as service:
        page = await service.request("GET", "/", token="")
        assert page.code == 200
        assert page.headers["Content-Type"].startswith("text/html")
        policy = page.headers["Content-Security-Policy"]
        assert "unsafe" not in policy
        assert "default-src 'none'" in policy
        assert b"<script>" not in page.body
        assert b"style=" not in page.body
        again = await service.request("GET", "/", token="", headers={"If-None-Match": page.headers["Etag"]})
        assert (again.code, again.body) == (304, b"")
        script = await service.request("GET", "/static/status.js", token="")
        assert script.headers["Content-Type"].startswith("text/javascript")
        for name in ("none.js", "..%2Fconfig.py", "%2e%2e"):
            assert (await service.request("GET", f"/static/{name}", token="")).code == 404


# --- request ids and the log -----------------------------------------------------------------------------------


async def test_an_error_its_header_and_the_log_have_the_same_id(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "funcx_core.service.http")
    async with a_service(tmp_path, logs=LogConfig(slow_request=100)) as service:
        response = await service.request("GET", f"tasks/{new_task_id()}")
        own = await service.request("GET", "health", headers={"X-Request-Id": "mine-1"})
        forged = await service.request("GET", "health", headers={"X-Request-Id": 'a" b'})
    body = json.loads(response.body)
    assert body["request_id"] == response.headers["X-Request-Id"]
    (record,) = [each for each in caplog.records if getattr(each, "request_id", "") == body["request_id"]]
    assert (record.levelno, record.route, record.status, record.user) == (
        logging.DEBUG,
        "/v2/tasks/{task_id}",
        404,
        ALICE.name,
    )
    assert own.headers["X-Request-Id"] == "mine-1"
    assert '"' not in forged.headers["X-Request-Id"]


async def test_slow_requests_are_logged_and_quick_ones_are_not(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "funcx_core.service.http")
    async with a_service(tmp_path, logs=LogConfig(slow_request=0)) as service:
        await service.get("health")
    (record,) = [each for each in caplog.records if each.name == "funcx_core.service.http"]
    assert record.ms >= 0
    caplog.clear()
    async with a_service(tmp_path / "quick", logs=LogConfig(slow_request=100)) as service:
        await service.get("health")
    assert not [each for each in caplog.records if each.name == "funcx_core.service.http"]


# --- rates -----------------------------------------------------------------------------------------------------


async def test_too_many_requests_of_a_token_are_told_when_to_come_back(tmp_path: Path) -> None:
    async with a_service(tmp_path, rate=RateConfig(per_second=0.5, burst=2)) as service:
        codes = [(await service.request("GET", "limits")).code for _ in range(3)]
        refused = await service.request("GET", "limits")
        assert codes == [200, 200, 429]
        assert 1 <= int(refused.headers["Retry-After"]) <= 2
        assert json.loads(refused.body)["name"] == "rate_limited"
        assert (await service.request("GET", "limits", token=service.bob)).code == 200
        assert (await metrics(service))["funcx_http_refused_total", ()] == 2


async def test_the_stream_keeps_to_the_same_rate(tmp_path: Path) -> None:
    async with a_service(tmp_path, rate=RateConfig(per_second=0.1, burst=4)) as service:
        endpoint_id, function_id = await service.an_endpoint(), await service.a_function()
        stream = await service.stream()
        answers = []
        for number in (1, 2):
            call = Call(new_task_id(), function_id, b"00\nx")
            await stream.send(Submit(number, endpoint_id, new_group_id(), [call]))
            answers.append(await stream.receive())
    assert isinstance(answers[0], Accepted)
    assert isinstance(answers[1], Refused)
    assert answers[1].code == "rate_limited"
    assert answers[1].retry_after is not None
    assert 0 < answers[1].retry_after <= 10


async def test_guessing_tokens_is_slowed_down(tmp_path: Path) -> None:
    async with a_service(tmp_path, rate=RateConfig(failures_per_minute=3)) as service:
        await service.get("limits")
        codes = [(await service.request("GET", "limits", token=f"guess{number}")).code for number in range(4)]
        assert codes == [401, 401, 401, 429]
        await service.get("limits")  # a token that was good lately is still good


async def test_guessing_the_secret_of_a_client_is_slowed_down(tmp_path: Path) -> None:
    async with a_service(tmp_path, rate=RateConfig(failures_per_minute=3)) as service:
        client = await service.post("clients", {"label": "night run"}, code=201)

        async def code(secret: str) -> int:
            basic = b64encode(f"{client['client_id']}:{secret}".encode()).decode()
            form, header = b"grant_type=client_credentials&scope=openid", {"Authorization": f"Basic {basic}"}
            return (await service.request("POST", "oauth2/token", raw=form, headers=header)).code

        assert await code(client["client_secret"]) == 200
        assert [await code(f"guess{number}") for number in range(4)] == [401, 401, 401, 429]
        assert await code(client["client_secret"]) == 200, "the right one was good lately"


# --- stopping --------------------------------------------------------------------------------------------------


async def test_streams_and_callers_that_have_gone_do_not_hold_up_a_stop(tmp_path: Path) -> None:
    async with a_service(tmp_path) as service:
        await service.stream()
        host, port = service.web.address.split("//")[1].split("/")[0].split(":")
        _, gone = await asyncio.open_connection(host, int(port))
        head = f"POST /v2/functions HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {service.alice}\r\nContent-Length: 9\r\n\r\n"
        gone.write(head.encode())
        await gone.drain()
        http = service.web._http
        for _ in range(2000):
            if http._under_way:
                break
            await asyncio.sleep(0.01)
        assert not await http.drained(0.01)
        gone.close()
        assert await http.drained(10)
