"""Usage statistics of a real store."""

from __future__ import annotations

import json
from pathlib import Path

from funcx_core.protocol.task import TaskResult, TaskState, TaskTimes
from tests.support.webservice import a_service


async def test_usage_is_counted_by_user_and_by_endpoint(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("funcx_core.service.operations.statistics.FRESH_SECONDS", 0.0)
    monkeypatch.setattr("funcx_core.service.store.usage_catalog.PAGE", 2)
    async with a_service(tmp_path) as service:
        bob = {"token": service.bob}
        endpoint_id = (await service.post("endpoints", {"endpoint_name": "open", "public": True}))["endpoint_id"]
        function_id, theirs = await service.a_function(), await service.a_function(**bob)
        await service.post("submit", {"tasks": [[function_id, endpoint_id, "x"]] * 3})
        await service.post("submit", {"tasks": [[theirs, endpoint_id, "x"]] * 2}, **bob)
        mine = await service.get("stats")
        assert (mine["total"], mine["open"], mine["tasks"]) == (3, 3, {"received": 3})
        times = TaskTimes(started=1_000_000_000, ended=3_000_000_000)
        for _, offer in (await service.offers(5))[:4]:
            task = offer.task
            await service.end(endpoint_id, offer, TaskResult(task.task_id, 1, TaskState.SUCCESS, b"pb\n", times=times))
        mine = await service.get("stats")
        assert (mine["total"], mine["open"], mine["run_seconds"]) == (3, 0, 6.0)
        assert [(each["name"], each["tasks"]) for each in mine["endpoints"]] == [("open", {"success": 3})]
        assert [(each["function_id"], each["name"], each["total"]) for each in mine["functions"]] == [
            (function_id, "double", 3)
        ]
        assert [day["submitted"] for day in mine["days"]] == [0] * 29 + [3]
        assert (await service.get("stats", **bob))["tasks"] == {"received": 1, "success": 1}
        everybodys = await service.get(f"endpoints/{endpoint_id}/stats")
        assert (everybodys["total"], everybodys["open"], everybodys["users"]) == (5, 1, 2)
        refused = await service.request("GET", f"endpoints/{endpoint_id}/stats", **bob)
        assert json.loads(refused.body)["code"] == 4
