"""`FuncXClient`: the documented client, one HTTP request per call."""

from __future__ import annotations

import os
import platform
import threading
import uuid
import warnings
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import msgspec

from funcx_core import __version__
from funcx_core.errors import NotFound, UsageError
from funcx_core.ids import new_group_id, parse_id
from funcx_core.protocol.client import Limits, Throttle
from funcx_core.sdk.access import connection_for
from funcx_core.sdk.client_provenance import ProvenanceMethods
from funcx_core.sdk.greeting import Greeting
from funcx_core.sdk.settings import Authorizer
from funcx_core.sdk.throttling import ThrottledBaseClient
from funcx_core.sdk.trust import TrustedEndpoints
from funcx_core.sdk.versions import are_different_machines, check_versions
from funcx_core.sdk.web import WebClient, user_agent
from funcx_core.serialize import FuncXSerializer

if TYPE_CHECKING:
    import asyncio

    from funcx_core.sdk.login_manager.protocol import LoginManagerProtocol


class FuncXClient(ProvenanceMethods, ThrottledBaseClient):
    """Registers functions, submits tasks and fetches results. Safe from any thread.

    >>> client = FuncXClient()
    >>> function_id = client.register_function(simulate)
    >>> task_id = client.run(42, endpoint_id="theta", function_id=function_id)
    >>> client.get_result(task_id)

    Nothing is contacted before the first call.

    Args:
        http_timeout: seconds for one request; 30 if it is None.
        funcx_home: the folder of saved tokens; ``~/.funcx`` or FUNCX_HOME if it is None.
        asynchronous: `run`, `batch_run` and `map_run` return asyncio futures.
        loop: the event loop of these futures; the running one if it is None.
        environment: name of an environment, in place of FUNCX_SDK_ENVIRONMENT; only ``local`` is left.
        funcx_service_address: the service; without it the one of the environment, or the one that `funcx up` started.
        results_ws_uri: where results of old services came from. The address follows from the service's; one that names
            another machine is warned of.
        warn_about_url_mismatch: False for no such warning.
        task_group_id: the group of this client's tasks; a new one if it is None.
        do_version_check: ask the service before the first request whether it takes this version.
        openid_authorizer: not used any more.
        search_authorizer: not used any more.
        fx_authorizer: gives the authorization of each request, as authorizers of globus-sdk do.
        login_manager: gives such an authorizer; see `funcx.sdk.login_manager`.
        token: the bearer token; without it the one that was saved for the service.
        force_login: sign out of the login manager and in again.
        check_endpoint_version: let the version check look at the endpoint software installed here, too.
        use_offprocess_checker: load each function in a process of its own before it is registered.
        trusted_endpoints: ids or names of endpoints of others whose results may hold more than plain data, which may run code
            of theirs here; without it those in FUNCX_TRUSTED_ENDPOINTS. Your own are trusted.

    Raises:
        NotConfigured: no service is known.
        ConfigError, UsageError: the arguments, the environment or a file say what cannot be.
    """

    def __init__(  # noqa: PLR0917 - the documented order of arguments
        self,
        http_timeout: float | None = None,
        funcx_home: str | os.PathLike[str] | None = None,
        asynchronous: bool | None = None,
        loop: asyncio.AbstractEventLoop | None = None,
        environment: str | None = None,
        funcx_service_address: str | None = None,
        results_ws_uri: str | None = None,
        warn_about_url_mismatch: bool | None = None,
        task_group_id: str | uuid.UUID | None = None,
        do_version_check: bool = True,
        openid_authorizer: Any = None,
        search_authorizer: Any = None,
        fx_authorizer: Authorizer | None = None,
        *,
        login_manager: LoginManagerProtocol | None = None,
        token: str | None = None,
        force_login: bool = False,
        check_endpoint_version: bool = False,
        use_offprocess_checker: bool = False,
        trusted_endpoints: Iterable[str] | str | None = None,
    ) -> None:
        self._access = connection_for(
            address=funcx_service_address,
            token=token,
            environment=environment,
            funcx_home=funcx_home,
            login_manager=login_manager,
            fx_authorizer=fx_authorizer,
            search_authorizer=search_authorizer,
            openid_authorizer=openid_authorizer,
            force_login=force_login,
        )
        self.asynchronous = bool(asynchronous)
        self.loop = loop
        self.results_ws_uri = results_ws_uri
        self.use_offprocess_checker = use_offprocess_checker
        self.session_task_group_id = parse_id(str(task_group_id), "task group id") if task_group_id else new_group_id()
        ThrottledBaseClient.__init__(self)
        self.fx_serializer = FuncXSerializer()
        self._endpoint_ids = {}
        self._trusted = TrustedEndpoints(trusted_endpoints, self._list_quickly)
        self._stream = None
        self._stream_lock = threading.Lock()
        self._do_version_check = do_version_check
        self._endpoint_version = __version__ if check_endpoint_version else None
        self._greeting = Greeting(self._greet)
        self._web = WebClient(self.settings, timeout=http_timeout or 30.0, before=self._before_request)
        self._user_app_name: str | None = None
        if results_ws_uri and warn_about_url_mismatch is not False:
            _warn_about_mismatch(self.settings.service_address, results_ws_uri)

    def version_check(self, endpoint_version: str | None = None) -> None:
        """Ask the service whether it takes this version. A new client asks by itself before its first request.

        Args:
            endpoint_version: a version of the endpoint software to check, too.

        Raises:
            VersionMismatch: the service wants a newer one.
        """
        answer = self._web.get("version", query="service=all")
        check_versions(answer, endpoint_version=endpoint_version or self._endpoint_version)

    @property
    def user_app_name(self) -> str | None:
        """A name of your program, for the service's logs: it goes along in the User-Agent header of each request."""
        return self._user_app_name

    @user_app_name.setter
    def user_app_name(self, name: str | None) -> None:
        if name is not None and not (name.isascii() and name.isprintable()):
            raise UsageError(f"user_app_name is {name[:100]!r}; a header takes printable ASCII characters only.")
        self._user_app_name = name
        self._web.user_agent = user_agent(name)

    def get_limits(self) -> dict[str, Any]:
        """Return what the service accepts, in bytes and counts."""
        return dict(self._web.get("limits"))

    def get_events(self, task_id: str, after: int = 0, timeout: float = 0.0) -> dict[str, Any]:
        """Return the entries of a task's event log after a `seq`, waiting for one for at most `timeout` seconds."""
        return dict(
            self._web.get("tasks", parse_id(task_id, "task id"), "events", query=f"after={after:d}&timeout={timeout:g}")
        )

    def logout(self) -> None:
        """Forget what gave access to the service: the saved token, or what the login manager has."""
        self._access.logout()

    def _before_request(self, method: str, path: str, content: bytes | None) -> None:
        if self._greeting():
            self._hold_back(method, path, content)

    def _greet(self) -> None:
        if self._do_version_check:
            self.version_check()
        if self._needs_limits:
            self._adopt(self._asked_throttle())

    def _asked_throttle(self) -> Throttle | None:
        try:
            return msgspec.convert(self.get_limits(), Limits).throttle
        except (NotFound, msgspec.ValidationError):  # a service that is not ours
            return None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.settings.service_address} on Python {platform.python_version()}>"


def _warn_about_mismatch(service_address: str, results_ws_uri: str) -> None:
    if are_different_machines(service_address, results_ws_uri):
        warnings.warn(
            f"funcx_service_address={service_address} and results_ws_uri={results_ws_uri} name different machines; results come "
            "from the first one. Leave results_ws_uri out, or pass warn_about_url_mismatch=False.",
            UserWarning,
            stacklevel=3,
        )


__all__ = ["FuncXClient"]
