"""A fake Kubernetes API: as much of it as KubernetesProvider asks for. Its pods are processes of this machine.

It proves what we ask and what we make of the answers, not how a cluster behaves.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

TOKEN = "a-service-account"
PODS = r"/api/v1/namespaces/([^/]+)/pods"
GRACE = 5.0

KUBECONFIG = """\
apiVersion: v1
kind: Config
current-context: fake
clusters: [{{name: fake, cluster: {{server: "{address}"}}}}]
users: [{{name: tester, user: {{token: "{token}"}}}}]
contexts: [{{name: fake, context: {{cluster: fake, user: tester}}}}]
"""


class Pod:
    """A pod, and the process that plays its container."""

    def __init__(self, body: dict[str, Any], process: subprocess.Popen[bytes] | None, log: Path) -> None:
        self.body = body
        self.process = process
        self.log = log
        self.waiting: dict[str, str] | None = None

    def view(self) -> dict[str, Any]:
        """Return its description as Kubernetes would give it."""
        return {**self.body, "status": self._status()}

    def _status(self) -> dict[str, Any]:
        if self.process is None:
            return {"phase": "Pending", "containerStatuses": [{"state": {"waiting": self.waiting}}]}
        code = self.process.poll()
        if code is None:
            return {"phase": "Running", "containerStatuses": [{"state": {"running": {}}}]}
        code = 128 - code if code < 0 else code
        ended = {"exitCode": code, "reason": "Completed" if code == 0 else "Error"}
        phase = "Succeeded" if code == 0 else "Failed"
        return {"phase": phase, "containerStatuses": [{"state": {"terminated": ended}}]}

    def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Signal the process with its children, and see that it ends."""
        if self.process is None or self.process.poll() is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.process.pid, number)
        try:
            self.process.wait(GRACE)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(GRACE)


class FakeKubernetes:
    """The API server, in a thread of this process. Use as a context manager.

    Attributes:
        bad_images: images that cannot be pulled.
        is_down: whether every request is answered with 503.
        requests: method and path of every request that was answered.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.folder = folder
        self.environment = dict(environment)
        self.pods: dict[str, Pod] = {}
        self.bad_images: set[str] = set()
        self.is_down = False
        self.requests: list[tuple[str, str]] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name="fake-kubernetes", daemon=True)
        self._ready = threading.Event()
        self._all: list[Pod] = []
        self.port = 0

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._thread.start()
        self._ready.wait(10)
        address = f"http://127.0.0.1:{self.port}"
        self.kubeconfig.write_text(KUBECONFIG.format(address=address, token=TOKEN))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._closing.set)
        self._thread.join(2 * GRACE + 10)
        self._loop.close()
        for pod in self._all:
            pod.end(signal.SIGKILL)

    @property
    def kubeconfig(self) -> Path:
        """A file for KUBECONFIG."""
        return self.folder / "kubeconfig"

    def specs(self) -> list[dict[str, Any]]:
        """Return what was asked for, of every pod that is there."""
        return [pod.body for pod in self.pods.values()]

    def delete_behind_everybodys_back(self, name: str) -> None:
        """As `kubectl delete pod --force` does."""
        pod = self.pods.pop(name)
        if pod.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pod.process.pid, signal.SIGKILL)
            pod.process.wait(GRACE)

    def create(self, body: dict[str, Any]) -> Pod:
        """Start a pod."""
        container = body["spec"]["containers"][0]
        name = body["metadata"]["name"]
        log = self.folder / f"{name}.log"
        if container["image"] in self.bad_images:
            pod = Pod(body, None, log)
            pod.waiting = {"reason": "ImagePullBackOff", "message": f'Back-off pulling image "{container["image"]}"'}
        else:
            with log.open("wb") as output:
                process = subprocess.Popen(
                    [*container["command"], *container["args"]],
                    env={**self.environment, "POD_NAME": name, "POD_IMAGE": container["image"]},
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                )
            pod = Pod(body, process, log)
        self.pods[name] = pod
        self._all.append(pod)
        return pod

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._work())
        self._loop.run_until_complete(self._loop.shutdown_default_executor())

    async def _work(self) -> None:
        self._closing = asyncio.Event()
        (socket,) = bind_sockets(0, "127.0.0.1")
        routes = [(PODS, _Pods), (PODS + r"/([^/]+)", _Pod), (PODS + r"/([^/]+)/log", _Log)]
        server = HTTPServer(Application([(path, handler, {"cluster": self}) for path, handler in routes]))
        server.add_sockets([socket])
        self.port = socket.getsockname()[1]
        self._ready.set()
        await self._closing.wait()
        server.stop()
        await server.close_all_connections()


class _Handler(RequestHandler):
    def initialize(self, cluster: FakeKubernetes) -> None:
        self.cluster = cluster

    def prepare(self) -> None:
        if self.cluster.is_down:
            self.refuse(503, "ServiceUnavailable", "the API is down")
        elif self.request.headers.get("Authorization") != f"Bearer {TOKEN}":
            self.refuse(401, "Unauthorized", "no token")
        else:
            self.cluster.requests.append((str(self.request.method), self.request.path))

    def refuse(self, code: int, reason: str, message: str) -> None:
        self.set_status(code, reason)
        self.finish({"kind": "Status", "status": "Failure", "reason": reason, "message": message, "code": code})

    def pod(self, name: str) -> Pod | None:
        found = self.cluster.pods.get(name)
        if found is None:
            self.refuse(404, "NotFound", f'pods "{name}" not found')
        return found


class _Pods(_Handler):
    def post(self, namespace: str) -> None:
        body = json.loads(self.request.body)
        name = body["metadata"]["name"]
        if name in self.cluster.pods:
            self.refuse(409, "AlreadyExists", f'pods "{name}" already exists')
        elif namespace == "forbidden":
            self.refuse(403, "Forbidden", 'pods is forbidden: User "tester" cannot create resource "pods"')
        else:
            self.set_status(201)
            self.finish(self.cluster.create(body).view())

    def get(self, namespace: str) -> None:
        key, _, value = self.get_query_argument("labelSelector", "").partition("=")
        pods = [pod.view() for pod in self.cluster.pods.values()]
        found = [pod for pod in pods if not key or pod["metadata"]["labels"].get(key) == value]
        self.finish({"kind": "PodList", "items": found})


class _Pod(_Handler):
    def get(self, namespace: str, name: str) -> None:
        if (pod := self.pod(name)) is not None:
            self.finish(pod.view())

    async def delete(self, namespace: str, name: str) -> None:
        if (pod := self.pod(name)) is not None:
            del self.cluster.pods[name]
            view = pod.view()
            await asyncio.to_thread(pod.end)
            self.finish(view)


class _Log(_Handler):
    def get(self, namespace: str, name: str) -> None:
        if (pod := self.pod(name)) is not None:
            lines = pod.log.read_text(errors="replace").splitlines() if pod.log.exists() else []
            self.set_header("Content-Type", "text/plain")
            self.finish("\n".join(lines[-int(self.get_query_argument("tailLines", "1000")) :]))
