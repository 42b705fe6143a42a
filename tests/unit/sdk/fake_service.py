"""A service in one thread of this process that runs functions itself: speaks `protocol.client` and the HTTP routes."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import threading
from collections.abc import Callable
from typing import Self

import msgspec
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, HTTPError, RequestHandler
from tornado.websocket import WebSocketClosedError, WebSocketHandler

from funcx_core.ids import call_id
from funcx_core.protocol.client import (
    Accepted,
    CancelTasks,
    Limits,
    RegisterFunction,
    Rejection,
    Submit,
    TaskEvents,
    TaskResults,
    TaskStates,
    Watch,
    Welcome,
    from_client,
)
from funcx_core.protocol.codec import encode
from funcx_core.protocol.maps import SubmitMap
from funcx_core.protocol.payload import RANGE, as_text
from funcx_core.protocol.ranges import Failure
from funcx_core.protocol.task import Call, TaskError, TaskResult, TaskState
from funcx_core.sdk.settings import Settings
from funcx_core.serialize import (
    describe_exception,
    is_calls,
    pack_value,
    unpack_call,
    unpack_calls,
    unpack_function,
)
from funcx_core.serialize.ranges import OutcomesPacker, unpack_range

TOKEN = "a-token"
ENDPOINTS = [
    {"uuid": "11111111-1111-4111-8111-111111111111", "name": "theta", "state": "online"},
    {"uuid": "22222222-2222-4222-8222-222222222222", "name": "local", "state": "offline"},
]


class FakeService:
    """`held`: tasks stay open until `release()`. `drop_accepted`: that many answers are lost with their connection."""

    def __init__(self) -> None:
        self.functions: dict[str, bytes] = {}
        self.loaded: dict[str, Callable] = {}
        self.runs: dict[str, int] = {}
        self.ended: dict[str, TaskResult] = {}
        self.waiting: dict[str, Call] = {}
        self.groups: dict[str, list[str]] = {}
        self.endpoints = ENDPOINTS
        self.places: dict[str, str] = {}  # where each task ran
        self.messages: list = []
        self.requests: list[tuple[str, str]] = []
        self.bodies: list = []
        self.agents: list[str] = []
        self.whitelist: list[str] = []
        self.containers: dict[str, dict] = {}
        self.broker: dict | None = None
        self.sockets: set[Stream] = set()
        self.held = False
        self.drop_accepted = 0
        self.refuse: Callable | None = None
        self.answer_status: list[int] = []
        self.fast: TaskResult | None = None
        self.connections = 0
        self.versions = {"api": "1.0.6", "min_sdk_version": "0.0.1", "min_ep_version": "0.0.1"}
        self.limits = Limits()
        self.port = 0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._ready = threading.Event()

    @property
    def settings(self) -> Settings:
        return Settings(f"http://127.0.0.1:{self.port}/v2", TOKEN)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *exc) -> None:
        self.loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    def call(self, action: Callable) -> None:
        """Run `action` on the service's thread and wait for it."""
        done = threading.Event()

        def act() -> None:
            action()
            done.set()

        self.loop.call_soon_threadsafe(act)
        assert done.wait(5)

    def release(self) -> None:
        self.held = False
        self.call(lambda: self.end_all([self.run(call) for call in self.waiting.values()]))

    def hang_up(self) -> None:
        self.call(lambda: [socket.close() for socket in list(self.sockets)])

    def say(self, message) -> None:
        self.call(lambda: [socket.say(message) for socket in self.sockets])

    def accept(self, calls: list[Call], group_id: str) -> list[TaskResult]:
        fresh = [call for call in calls if call.task_id not in self.runs]
        self.groups.setdefault(group_id, []).extend(call.task_id for call in fresh)
        for call in fresh:
            self.runs[call.task_id] = 0
        if self.held:
            self.waiting.update({call.task_id: call for call in fresh})
            return []
        return [self.run(call) for call in fresh]

    def run(self, call: Call) -> TaskResult:
        self.runs[call.task_id] += 1
        if self.fast is not None:
            return msgspec.structs.replace(self.fast, task_id=call.task_id)
        try:
            function = self.loaded.get(call.function_id)
            if function is None:
                function = self.loaded[call.function_id] = unpack_function(self.functions[call.function_id])
            if call.payload.startswith(RANGE):
                result = TaskResult(call.task_id, 1, TaskState.SUCCESS, run_range(function, call.payload))
                self.ended[call.task_id] = result
                return result
            if is_calls(call.payload):
                value = [function(*args) for args in unpack_calls(call.payload)]
            else:
                args, kwargs = unpack_call(call.payload)
                value = function(*args, **kwargs)
            result = TaskResult(call.task_id, 1, TaskState.SUCCESS, pack_value(value))
        except BaseException as error:
            result = TaskResult(call.task_id, 1, TaskState.FAILED, error=describe_exception(error))
        self.ended[call.task_id] = result
        return result

    def end_all(self, results: list[TaskResult]) -> None:
        for result in results:
            self.waiting.pop(result.task_id, None)
            self.ended[result.task_id] = result
        for socket in self.sockets:
            socket.say(TaskResults(results))

    def cancel(self, task_ids: list[str]) -> None:
        error = TaskError(code="task_cancelled", message="The task was cancelled.")
        self.end_all(
            [
                TaskResult(task_id, 1, TaskState.CANCELLED, error=error)
                for task_id in task_ids
                if task_id in self.waiting
            ]
        )

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        handler = {"service": self}
        application = Application(
            [(r"/v2/stream", Stream, handler), (r"/v2/(.*)", Routes, handler)], websocket_max_message_size=1 << 28
        )
        server = HTTPServer(application, max_buffer_size=1 << 28)
        sockets = bind_sockets(0, "127.0.0.1")
        server.add_sockets(sockets)
        self.port = sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.stop()
        for socket in list(self.sockets):
            socket.close()
        await server.close_all_connections()
        await asyncio.sleep(0.01)


def run_range(function: Callable, payload: bytes) -> bytes:
    calls, _ = unpack_range(payload)
    values, failures = [], []
    for place, args in enumerate(calls):
        try:
            values.append(function(*args))
        except Exception as error:
            failures.append(Failure(place, describe_exception(error)))
    packer = OutcomesPacker(describe_exception, lambda size: TaskError(code="result_too_large", message=""), 1 << 30)
    return packer.pack(len(calls), values, failures, alone=False)


class Stream(WebSocketHandler):
    def initialize(self, service: FakeService) -> None:
        self.service = service

    def prepare(self) -> None:
        check_token(self)

    def open(self) -> None:
        self.set_nodelay(True)
        self.service.connections += 1
        self.service.sockets.add(self)
        self.say(Welcome(self.service.limits, "fake"))

    def on_close(self) -> None:
        self.service.sockets.discard(self)

    def say(self, message) -> None:
        with contextlib.suppress(WebSocketClosedError):
            self.write_message(encode(message), binary=True)

    def on_message(self, data) -> None:
        service = self.service
        message = from_client.decode(data)
        service.messages.append(message)
        if service.refuse is not None and (answer := service.refuse(message)) is not None:
            self.say(answer)
            return
        match message:
            case RegisterFunction():
                service.functions[message.function.function_id] = message.function.body
                self.say(Accepted(message.request))
            case Submit() | SubmitMap():
                calls = message.calls if isinstance(message, Submit) else message.ranges
                unknown = [call for call in calls if call.function_id not in service.functions]
                service.places.update({call.task_id: message.endpoint_id for call in calls})
                results = service.accept([call for call in calls if call not in unknown], message.group_id)
                if service.drop_accepted > 0:
                    service.drop_accepted -= 1
                    self.close()
                    return
                rejected = [Rejection(call.task_id, "function_not_found", "No such function.") for call in unknown]
                self.say(Accepted(message.request, rejected))
                if results:
                    self.say(TaskResults(results))
            case Watch():
                found = [service.ended[task_id] for task_id in message.task_ids if task_id in service.ended]
                if found:
                    self.say(TaskResults(found))
                if message.request:
                    self.say(Accepted(message.request))
            case CancelTasks():
                service.cancel(message.task_ids)


class Routes(RequestHandler):
    def initialize(self, service: FakeService) -> None:
        self.service = service

    def prepare(self) -> None:
        check_token(self)
        self.service.requests.append((self.request.method, self.request.path))
        self.service.bodies.append(json.loads(self.request.body) if self.request.body else self.request.query)
        self.service.agents.append(self.request.headers["User-Agent"])
        if self.service.answer_status:
            self.set_status(self.service.answer_status.pop(0))
            self.finish({"status": "Failed", "code": 0, "reason": "Busy.", "name": "service_unavailable"})

    def get(self, path: str) -> None:  # noqa: C901 - a case for each route
        match path.split("/"):
            case ["version"]:
                self.finish(self.service.versions)
            case ["limits"]:
                self.finish(msgspec.json.encode(self.service.limits))
            case ["endpoints"]:
                self.finish(json.dumps(self.service.endpoints))
            case ["endpoints", _, "whitelist"]:
                self.finish({"status": "Success", "result": self.service.whitelist})
            case ["containers", container_id, kind]:
                self.finish({"container": {**self.service.containers[container_id], "asked": kind}})
            case ["functions"]:
                self.finish(
                    {
                        "results": [{"function_name": "double", "function_uuid": "f", "function_source": "SRC"}],
                        "total": 1,
                    }
                )
            case ["functions", function_id]:
                self.finish({"function_uuid": function_id, "function_name": "double"})
            case ["get_amqp_result_connection_url"] if self.service.broker is not None:
                self.finish(self.service.broker)
            case ["endpoints", uuid, "status"]:
                self.finish({"status": "online", "uuid": uuid, "details": {}})
            case ["tasks", task_id]:
                self.finish(self.task(task_id))
            case ["taskgroup", group_id]:
                tasks = [{"id": task_id} for task_id in self.service.groups.get(group_id, [])]
                self.finish({"taskgroup_id": group_id, "tasks": tasks})
            case _:
                raise HTTPError(404)

    def delete(self, path: str) -> None:
        match path.split("/"):
            case ["endpoints", _, "whitelist", function_id]:
                self.service.whitelist.remove(function_id)
                self.finish({"status": "Success", "result": function_id})
            case ["functions", _] | ["endpoints", _] | ["endpoints", _, "lock"]:
                self.finish()
            case _:
                raise HTTPError(404)

    def post(self, path: str) -> None:
        body = json.loads(self.request.body)
        match path.split("/"):
            case ["functions"]:
                function_id = f"00000000-0000-4000-8000-{len(self.service.functions):012d}"
                self.service.functions[function_id] = body["function_code"].encode()
                self.finish({"function_uuid": function_id})
            case ["submit" | "maps" as what]:
                self.finish(self.submit(body) if what == "submit" else self.submit_map(body))
            case ["batch_status"]:
                self.finish({"results": {task_id: self.task(task_id) for task_id in body["task_ids"]}})
            case ["endpoints", _, "whitelist"]:
                self.service.whitelist += body["func"]
                self.finish({"status": "Success", "result": self.service.whitelist})
            case ["endpoints", uuid, "lock"]:
                self.finish({"endpoint_id": uuid, "locked": True})
            case ["containers"]:
                container_id = f"cccccccc-0000-4000-8000-{len(self.service.containers):012d}"
                self.service.containers[container_id] = body
                self.finish({"container_id": container_id})
            case ["get_containers"]:
                self.finish({"endpoint_uuid": "u", "endpoint_containers": list(self.service.containers.values())})
            case ["endpoints"]:
                self.finish({"endpoint_id": body["endpoint_uuid"], **body})
            case ["tasks", task_id, "cancel"]:
                self.service.cancel([task_id])
                self.finish({"task_id": task_id, "status": "cancelled"})
            case _:
                raise HTTPError(404)

    def submit_map(self, body: dict) -> dict:
        for index, payload in enumerate(body["payloads"], body["start"]):
            task_id = call_id(body["map_id"], index)
            self.service.places[task_id] = body["endpoint_id"]
            self.service.accept([Call(task_id, body["function_id"], payload.encode())], body["task_group_id"])
        return {"map_id": body["map_id"]}

    def submit(self, body: dict) -> dict:
        results = []
        for (function_id, endpoint, payload), task_id in zip(body["tasks"], body["task_ids"], strict=True):
            if function_id not in self.service.functions:
                results.append(
                    {
                        "status": "Failed",
                        "code": 3,
                        "task_uuid": task_id,
                        "http_status_code": 404,
                        "reason": f"No function '{function_id}' is visible to you.",
                        "error_args": [function_id],
                    }
                )
                continue
            self.service.places[task_id] = endpoint
            self.service.accept([Call(task_id, function_id, payload.encode())], body["task_group_id"])
            results.append({"status": "Success", "task_uuid": task_id, "http_status_code": 200})
        return {"response": "batch", "results": results}

    def task(self, task_id: str) -> dict:
        found = self.service.ended.get(task_id)
        if found is None:
            status = "waiting-for-ep" if task_id in self.service.runs else "Failed"
            return {"task_id": task_id, "status": status, "reason": "Unknown task id" if status == "Failed" else ""}
        answer = {"task_id": task_id, "status": found.state.value, "completion_t": "1"}
        answer["endpoint_id"] = self.service.places.get(task_id, "")
        if found.state is TaskState.SUCCESS:
            return {**answer, "result": as_text(found.value)}
        error = msgspec.to_builtins(found.error, builtin_types=(bytes,))
        error["exception"] = base64.b64encode(found.error.exception).decode()
        return {**answer, "exception": found.error.traceback, "error": error}


def check_token(handler: RequestHandler) -> None:
    if handler.request.headers.get("Authorization") != f"Bearer {TOKEN}":
        handler.set_status(401)
        handler.finish({"status": "Failed", "code": 1, "reason": "No valid token.", "name": "user_unauthenticated"})


__all__ = ["ENDPOINTS", "TOKEN", "FakeService", "TaskEvents", "TaskStates"]
