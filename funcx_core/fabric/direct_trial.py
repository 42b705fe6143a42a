"""Two tasks through a forwarder without a web service: whether everything behind the web service works."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from funcx_core.errors import EndpointNotFound, EndpointOffline, FuncxError, TaskFailed
from funcx_core.protocol.payload import as_text
from funcx_core.sdk.settings import Settings
from funcx_core.sdk.tasks import value_or_error
from funcx_core.sdk.transfer import Transfer
from funcx_core.sdk.trust import TrustingReader
from funcx_core.sdk.web import WebClient
from funcx_core.serialize import PackedFunction, pack_call


def run_trial(settings: Settings, endpoint: str | None, timeout: float) -> Iterator[str]:
    """Run a function that returns and one that raises; yield a line on each.

    Args:
        settings: where the forwarder is, and its token.
        endpoint: id or name; None for the only one that is connected.
        timeout: seconds for each result.

    Raises:
        TaskFailed: a function did not end as it should.
        FuncxError: no such endpoint, or no forwarder.
    """
    web = WebClient(settings, timeout=timeout + 5)
    endpoint_id = _endpoint(web.get("list_mappings"), endpoint)
    value, error, seconds = _run(web, endpoint_id, double, timeout)
    if value != 42:  # noqa: PLR2004 - what double(21) is
        raise TaskFailed(f"double(21) gave {value!r}: {error}")
    yield f"double(21) = {value} in {seconds * 1000:.0f} ms"
    _, error, seconds = _run(web, endpoint_id, fail, timeout)
    if not isinstance(error, ValueError):
        raise TaskFailed(f"fail(21) should have raised a ValueError: {error!r}")
    yield f"fail(21) raised {type(error).__name__}: {error} in {seconds * 1000:.0f} ms"


def double(x: int) -> int:
    """Return twice `x`."""
    return x * 2


def fail(x: int) -> None:
    """Raise."""
    raise ValueError(f"{x} was refused, as it should be")


def _endpoint(mappings: list[dict[str, Any]], wanted: str | None) -> str:
    found = [each for each in mappings if wanted is None or wanted in {each["endpoint_id"], each["name"]}]
    if not found:
        raise EndpointNotFound(wanted or "any", "No endpoint registered with the forwarder-service; see `broker_test`.")
    online = [each for each in found if each["online"]]
    if len(online) != 1:
        names = ", ".join(each["name"] for each in (online or found))
        raise EndpointOffline(
            f"{len(online)} endpoints are connected ({names}); name one by --endpoint, or start the one you mean."
        )
    return str(online[0]["endpoint_id"])


def _run(web: WebClient, endpoint_id: str, function: Any, timeout: float) -> tuple[Any, BaseException | None, float]:
    started = time.monotonic()
    body = {
        "endpoint_id": endpoint_id,
        "function_name": function.__name__,
        "function_code": PackedFunction(function).body.decode(),
        "payload": as_text(pack_call((21,), {})),
    }
    task_id = web.post("tasks", body=body)["task_id"]
    task = web.get("tasks", task_id, query=f"timeout={timeout:g}")
    try:
        reader = TrustingReader(lambda _: True)  # the endpoint is one's own
        value, error = value_or_error(task, reader, Transfer(lambda: web.settings))
    except FuncxError as pending:
        raise TaskFailed(f"{function.__name__}(21) did not end within {timeout:g} s: {pending}") from None
    return value, error, time.monotonic() - started
