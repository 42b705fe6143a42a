"""Every path of the service, in one table."""

from __future__ import annotations

from typing import Any, Final

from tornado import web

from funcx_core.service.context import Context
from funcx_core.service.handlers import endpoints, functions, meta, stream, submit, tasks
from funcx_core.service.handlers.base import Guard, NoSuchRoute

ID: Final = r"([^/]+)"


_V2: Final[list[tuple[str, type[Guard]]]] = [
    ("version", meta.Version),
    ("health", meta.Health),
    ("limits", meta.LimitsHandler),
    ("functions", functions.Functions),
    (f"functions/{ID}", functions.OneFunction),
    ("endpoints", endpoints.Endpoints),
    (f"endpoints/{ID}", endpoints.OneEndpoint),
    (f"endpoints/{ID}/status", endpoints.EndpointStatusHandler),
    ("submit", submit.SubmitHandler),
    ("batch_status", tasks.BatchStatus),
    ("tasks", tasks.NewestTasks),
    (f"tasks/{ID}", tasks.OneTask),
    (f"tasks/{ID}/cancel", tasks.CancelTask),
    (f"tasks/{ID}/events", tasks.Events),
    (f"taskgroup/{ID}", tasks.TaskGroup),
    ("stream", stream.Stream),
]
ROUTES: Final = {f"/v2/{path}": handler for path, handler in _V2}


def application(context: Context) -> web.Application:
    """Return the Tornado application."""
    given: dict[str, Any] = {"context": context}
    return web.Application(
        [(path, handler, given) for path, handler in ROUTES.items()],
        default_handler_class=NoSuchRoute,
        default_handler_args=given,
        log_function=lambda _: None,
        compress_response=False,
        websocket_max_message_size=32 * 1024 * 1024,
        websocket_ping_interval=20,
        websocket_ping_timeout=15,
    )
