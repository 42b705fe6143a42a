"""Every path of the service, in one table."""

from __future__ import annotations

from typing import Any, Final

from tornado import web

from funcx_core.service.context import Context
from funcx_core.service.handlers import (
    allow_lists,
    blobs,
    containers,
    description,
    device,
    endpoints,
    functions,
    groups,
    maps,
    meta,
    oauth,
    pages,
    published,
    results_socket,
    stats,
    stream,
    submit,
    tasks,
    tokens,
    v3,
    watching,
)
from funcx_core.service.handlers.base import Guard, NoSuchRoute
from funcx_core.service.openapi import document
from funcx_core.service.route import Route

_ROOT: Final[list[tuple[str, type[Guard]]]] = [
    ("", pages.StatusPage),
    ("docs", pages.DocsPage),
    ("device", pages.DevicePage),
    ("static/{name}", pages.Asset),
    ("openapi.json", description.OpenApi),
    ("metrics", watching.MetricsHandler),
    ("ws/v2/", results_socket.ResultsSocket),
]
_V1: Final[list[tuple[str, type[Guard]]]] = [
    ("version", meta.Version),
    ("register_function", functions.Functions),
    ("register_endpoint_2", endpoints.Registration),
    ("endpoints/{endpoint_id}/status", endpoints.EndpointStatusHandler),
    ("endpoints/{endpoint_id}/whitelist", allow_lists.AllowList),
    ("endpoints/{endpoint_id}/whitelist/{entry}", allow_lists.AllowListEntry),
    ("containers", containers.Containers),
    ("containers/{container_id}/{container_type}", containers.ContainerOfType),
    ("get_containers", containers.ContainersForEndpoint),
    ("submit", published.SubmitV1),
    ("submit_batch", published.SubmitBatch),
    ("batch_status", tasks.BatchStatus),
    ("tasks/{task_id}", tasks.OneTask),
]
_V2: Final[list[tuple[str, type[Guard]]]] = [
    ("version", meta.Version),
    ("health", meta.Health),
    ("limits", meta.LimitsHandler),
    ("functions", functions.Functions),
    ("functions/{function_id}", functions.OneFunction),
    ("endpoints", endpoints.Endpoints),
    ("endpoints/{endpoint_id}", endpoints.OneEndpoint),
    ("endpoints/{endpoint_id}/status", endpoints.EndpointStatusHandler),
    ("endpoints/{endpoint_id}/environment", endpoints.EndpointEnvironment),
    ("endpoints/{endpoint_id}/stats", stats.EndpointStatsHandler),
    ("endpoints/{endpoint_id}/lock", endpoints.EndpointLock),
    ("endpoints/{endpoint_id}/whitelist", allow_lists.AllowList),
    ("endpoints/{endpoint_id}/whitelist/{entry}", allow_lists.AllowListEntry),
    ("containers", containers.Containers),
    ("containers/{container_id}", containers.OneContainer),
    ("containers/{container_id}/{container_type}", containers.ContainerOfType),
    ("get_containers", containers.ContainersForEndpoint),
    ("groups", groups.Groups),
    ("groups/{group_id}", groups.OneGroup),
    ("groups/{group_id}/members", groups.GroupMembers),
    ("groups/{group_id}/members/{user_name}", groups.GroupMember),
    ("stats", stats.StatsHandler),
    ("submit", submit.SubmitHandler),
    ("submit_batch", published.SubmitBatch),
    ("batch_status", tasks.BatchStatus),
    ("tasks", tasks.NewestTasks),
    ("tasks/{task_id}", tasks.OneTask),
    ("tasks/{task_id}/cancel", tasks.CancelTask),
    ("tasks/{task_id}/events", tasks.Events),
    ("taskgroup/{group_id}", tasks.TaskGroup),
    ("task_groups/{group_id}", tasks.TaskGroup),
    ("blobs", blobs.Blobs),
    ("blobs/{blob_id}", blobs.OneBlob),
    ("blobs/{blob_id}/chunks/{number}", blobs.Chunk),
    ("blobs/{blob_id}/complete", blobs.Complete),
    ("blobs/{blob_id}/content", blobs.Content),
    ("maps", maps.Maps),
    ("maps/{map_id}", maps.OneMap),
    ("maps/{map_id}/about", maps.About),
    ("maps/{map_id}/ranges", maps.Ranges),
    ("maps/{map_id}/results", maps.Results),
    ("maps/{map_id}/failures", maps.Failures),
    ("maps/{map_id}/cancel", maps.CancelMap),
    ("maps/{map_id}/resume", maps.ResumeMap),
    ("maps/{map_id}/{index}", maps.OneCall),
    ("stream", stream.Stream),
    ("overview", watching.OverviewHandler),
    ("login_codes", watching.LoginCode),
    ("login_codes/exchange", watching.ExchangeCode),
    ("tokens", tokens.Tokens),
    ("tokens/{token_id}", tokens.OneToken),
    ("clients", tokens.Clients),
    ("clients/{client_id}", tokens.OneClient),
    ("sign_in", device.SignInHandler),
    ("device_codes/find", device.FindDevice),
    ("device_codes/decide", device.DecideDevice),
    ("oauth2/device_authorization", device.DeviceAuthorization),
    ("oauth2/token", oauth.Token),
    ("oauth2/token/revoke", oauth.Revoke),
    ("oauth2/userinfo", oauth.UserInfoHandler),
    ("api/identities", oauth.IdentitiesHandler),
    ("authenticate", published.Authenticate),
    ("get_amqp_result_connection_url", published.Broker),
]
_V3: Final[list[tuple[str, type[Guard]]]] = [
    ("functions", v3.Functions),
    ("endpoints", v3.Endpoints),
    ("endpoints/{endpoint_id}", v3.OneEndpoint),
    ("endpoints/{endpoint_id}/submit", v3.Submit),
    ("endpoints/{endpoint_id}/lock", endpoints.EndpointLock),
    ("endpoints/{endpoint_id}/allowed_functions", allow_lists.AllowedFunctionsHandler),
]
ROUTES: Final = [
    *(Route(f"/{path}", handler) for path, handler in _ROOT),
    *(Route(f"/v1/{path}", handler) for path, handler in _V1),
    *(Route(f"/v2/{path}", handler) for path, handler in _V2),
    *(Route(f"/v3/{path}", handler) for path, handler in _V3),
]


def application(context: Context) -> web.Application:
    """Return the Tornado application.

    Raises:
        TypeError: a method of a handler is not declared.
    """
    given: dict[str, Any] = {"context": context}
    described = document(ROUTES)
    context.http.know(ROUTES)
    return web.Application(
        [(route.pattern, route.handler, given) for route in ROUTES],
        default_handler_class=NoSuchRoute,
        default_handler_args=given,
        openapi=described,
        log_function=context.http.finished,
        compress_response=False,
        websocket_max_message_size=32 * 1024 * 1024,
        websocket_ping_interval=20,
        websocket_ping_timeout=15,
    )
