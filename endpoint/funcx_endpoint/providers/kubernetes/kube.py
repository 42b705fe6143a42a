"""Asks a Kubernetes cluster for pods. Every method that talks to it may take as long as `api_timeout`."""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import secrets
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from funcx_core.errors import ConfigError, ServiceUnavailable
from funcx_endpoint.providers.kubernetes import pods
from funcx_endpoint.providers.kubernetes.template import template_string

_log = logging.getLogger(__name__)

ALREADY_GONE: Final = 404
ROOM_FOR_SUFFIX: Final = 28
LOG_LINES: Final = 20


class _Block(msgspec.Struct):
    """One block: its pods, what they are for, and how it was when it had ended."""

    names: list[str]
    kind: str
    ended: pods.PodReport | None = None
    log_file: str | None = None


class KubernetesProvider:
    """A pod for each node of a block. What runs in it must reach this machine and see the endpoint's folder at the same path.

    The cluster is that of ``KUBECONFIG`` or ``~/.kube/config``, else the one in which the endpoint itself is a pod. It is asked
    when it is needed, not here.

    Args:
        image: image of the pods; it has the same Python and funcX as the endpoint.
        namespace: where pods are made.
        nodes_per_block: pods of a block; there are all of them, or none.
        init_blocks: blocks asked for at the start.
        min_blocks: never fewer.
        max_blocks: never more.
        max_cpu: processors that a pod may use (its limit).
        max_mem: memory that it may use (its limit), such as ``500Mi``.
        init_cpu: processors that are kept for it (its request).
        init_mem: memory that is kept for it (its request).
        parallelism: how much of the load is to run at once, from 0 to 1.
        worker_init: typed in a pod before its manager starts.
        pod_name: beginning of the pods' names, instead of ``funcx-worker``.
        user_id: number of the user as whom it runs.
        group_id: number of the group as which it runs.
        run_as_non_root: whether Kubernetes is to refuse an image that would run as root.
        secret: name of the secret with which the image is pulled.
        persistent_volumes: pairs of a claim and the folder where it is mounted.
        service_account_name: the pods' service account.
        annotations: the pods' annotations.
        extra_requests: further requests, such as ``{"nvidia.com/gpu": "1"}``.
        extra_limits: further limits.
        api_timeout: seconds that an answer of the cluster may take.

    Raises:
        ConfigError: a setting cannot be, or the package `kubernetes` is not installed.
    """

    label = "kubernetes"
    has_kinds = True
    """Whether `submit` takes a `task_type`."""
    status_polling_interval = 5

    def __init__(  # noqa: PLR0917 - the documented order of arguments
        self,
        image: str,
        namespace: str = "default",
        nodes_per_block: int = 1,
        init_blocks: int = 0,
        min_blocks: int = 0,
        max_blocks: int = 10,
        max_cpu: float = 2,
        max_mem: str = "500Mi",
        init_cpu: float = 1,
        init_mem: str = "250Mi",
        parallelism: float = 1,
        worker_init: str = "",
        pod_name: str | None = None,
        user_id: str | int | None = None,
        group_id: str | int | None = None,
        run_as_non_root: bool = False,
        secret: str | None = None,
        persistent_volumes: Sequence[tuple[str, str]] = (),
        service_account_name: str | None = None,
        annotations: Mapping[str, str] | None = None,
        extra_requests: Mapping[str, str] | None = None,
        extra_limits: Mapping[str, str] | None = None,
        api_timeout: float = 10,
    ) -> None:
        if importlib.util.find_spec("kubernetes") is None:
            raise ConfigError("KubernetesProvider needs a package. Run: pip install 'funcx-workbench[kubernetes]'")
        if not isinstance(image, str) or not image:
            raise ConfigError(f"image is {image!r}; the name of an image is needed.")
        self.image = image
        self.namespace = namespace
        self.nodes_per_block = nodes_per_block
        self.init_blocks = init_blocks
        self.min_blocks = min_blocks
        self.max_blocks = max_blocks
        self.parallelism = parallelism
        self.pod_name = pods.check_name(pod_name or pods.NAME, "pod_name", longest=63 - ROOM_FOR_SUFFIX)
        self.api_timeout = api_timeout
        self.script_dir: str | None = None
        self.settings = pods.PodSettings(
            init_cpu=init_cpu,
            init_mem=init_mem,
            max_cpu=max_cpu,
            max_mem=max_mem,
            worker_init=worker_init,
            user_id=_number(user_id, "user_id"),
            group_id=_number(group_id, "group_id"),
            run_as_non_root=run_as_non_root,
            secret=secret,
            persistent_volumes=tuple((str(claim), str(path)) for claim, path in persistent_volumes),
            service_account_name=service_account_name,
            annotations=annotations,
            extra_requests=extra_requests,
            extra_limits=extra_limits,
        )
        self._check()
        self._blocks: dict[str, _Block] = {}
        self._api: Any = None

    def _check(self) -> None:
        settings = self.settings
        if quantity_below(settings.max_mem, settings.init_mem) or settings.max_cpu < settings.init_cpu:
            raise ConfigError("KubernetesProvider: max_cpu and max_mem must not be less than init_cpu and init_mem.")
        if settings.init_cpu <= 0 or self.nodes_per_block < 1:
            raise ConfigError("KubernetesProvider: init_cpu and nodes_per_block must be above 0.")
        if not 0 <= self.min_blocks <= self.max_blocks:
            raise ConfigError(
                f"KubernetesProvider: min_blocks is {self.min_blocks} and max_blocks {self.max_blocks}; "
                "they must be 0 or more, and in this order."
            )

    @property
    def cores_per_node(self) -> int:
        """Processors of a pod, for the number of its workers."""
        return max(int(self.settings.max_cpu), 1)

    @property
    def mem_per_node(self) -> float:
        """Memory of a pod in GB, for the number of its workers."""
        return pods.quantity(self.settings.max_mem, "max_mem") / 1e9

    def submit(
        self, cmd_string: str, tasks_per_node: int = 1, task_type: str | None = None, job_name: str = "FuncX"
    ) -> str:
        """Ask for a block and return its name.

        Args:
            cmd_string: starts the manager.
            tasks_per_node: managers in each pod; one is enough for any number of workers.
            task_type: image of the pods; None for `image`.
            job_name: not used: pods are named ``funcx-worker-...``.

        Raises:
            ConfigError: the cluster refuses the pod, or nothing says where it is.
            ServiceUnavailable: it does not answer.
        """
        if tasks_per_node != 1:
            raise ConfigError("KubernetesProvider starts one manager in each pod; tasks_per_node must be 1.")
        block = f"{time.strftime('%Y%m%d%H%M%S', time.gmtime())}-{secrets.token_hex(3)}"
        command = template_string.format(worker_init=self.settings.worker_init, command=cmd_string)
        made: list[str] = []
        try:
            for node in range(self.nodes_per_block):
                name = f"{self.pod_name}-{block}-{node}"
                body = pods.manifest(name, block, task_type or self.image, command, self.settings)
                self._call("create_namespaced_pod", namespace=self.namespace, body=body)
                made.append(name)
        except Exception:
            self._delete_quietly(made)
            raise
        self._blocks[block] = _Block(made, task_type or "")
        _log.debug("asked for the pods %s, for %s", ", ".join(made), job_name)
        return block

    def status(self, job_ids: Sequence[str]) -> list[Any]:
        """Return how these blocks are, as Parsl's `JobStatus`. One question to the cluster answers for all of them."""
        found = {}
        if any(self._blocks[job].ended is None for job in job_ids):
            answer = self._call("list_namespaced_pod", namespace=self.namespace, label_selector=f"app={pods.NAME}")
            found = {pod["metadata"]["name"]: pod for pod in answer.get("items") or ()}
        return [self._status(self._blocks[job], found) for job in job_ids]

    def cancel(self, job_ids: Sequence[str] | int, task_type: str | None = None) -> list[bool]:
        """End blocks: these, or so many of the newest ones (of one `task_type`). Raises as `submit`; then it can be repeated."""
        if isinstance(job_ids, int):
            alive = [
                job
                for job, block in self._blocks.items()
                if block.ended is None and (task_type or block.kind) == block.kind
            ]
            job_ids = alive[::-1][:job_ids]
        for job in job_ids:
            block = self._blocks[job]
            for name in block.names:
                self._delete(name)
            block.ended = block.ended or pods.PodReport("CANCELLED")
        return [True for _ in job_ids]

    def _status(self, block: _Block, found: Mapping[str, Any]) -> Any:
        from parsl.jobs.states import JobState, JobStatus  # noqa: PLC0415 - costs a second

        report = block.ended or pods.together([pods.judge(found.get(name)) for name in block.names])
        status = JobStatus(JobState[report.state], report.message, report.exit_code, stderr_path=block.log_file)
        if not status.terminal:
            return status
        if block.ended is None:
            block.ended = report
            block.log_file = status.stderr_path = self._save_log(
                next((one for one in block.names if one in found), None)
            )
            # The others have no use without it, and one whose image cannot be had would try for ever.
            self._delete_quietly(block.names)
        return status

    def _save_log(self, pod: str | None) -> str | None:
        """Keep what a pod printed last, which is gone with it."""
        if pod is None or self.script_dir is None:
            return None
        try:
            text = self._call("read_namespaced_pod_log", name=pod, namespace=self.namespace, tail_lines=LOG_LINES)
        except (ConfigError, ServiceUnavailable) as error:
            _log.debug("the log of pod %s cannot be had: %s", pod, error)
            return None
        path = Path(self.script_dir) / f"{pod}.stderr"
        path.write_text(text)
        return str(path)

    def _delete_quietly(self, names: Sequence[str]) -> None:
        for name in names:
            try:
                self._delete(name)
            except (ConfigError, ServiceUnavailable) as error:
                _log.warning("pod %s cannot be deleted: %s", name, error)

    def _delete(self, name: str) -> None:
        try:
            self._call("delete_namespaced_pod", name=name, namespace=self.namespace)
        except _Gone:
            _log.debug("pod %s was deleted already", name)

    def _call(self, method: str, **arguments: Any) -> Any:
        """Ask the cluster; return its answer, decoded if it is JSON."""
        from kubernetes.client import ApiException  # noqa: PLC0415 - costs seconds
        from urllib3.exceptions import HTTPError  # noqa: PLC0415 - comes with it

        call = getattr(self._client(), method)
        try:
            answer = call(**arguments, _preload_content=False, _request_timeout=self.api_timeout)
        except ApiException as error:
            raise _as_ours(error) from None
        except HTTPError as error:
            raise ServiceUnavailable(f"The Kubernetes API does not answer: {_one_line(error)}") from None
        if method.startswith("read_namespaced_pod_log"):
            return bytes(answer.data).decode(errors="replace")
        return json.loads(answer.data)

    def _client(self) -> Any:
        if self._api is None:
            from kubernetes import client, config  # noqa: PLC0415 - costs seconds

            found = client.Configuration()
            try:
                try:
                    # The library looks at the variable only once, when it is imported.
                    config.load_kube_config(os.environ.get("KUBECONFIG"), client_configuration=found)
                except config.ConfigException:
                    config.load_incluster_config(client_configuration=found)
            except config.ConfigException:
                raise ConfigError(
                    "No Kubernetes cluster is known: set KUBECONFIG, or run the endpoint in a pod with a service account."
                ) from None
            self._api = client.CoreV1Api(client.ApiClient(found))
        return self._api


class _Gone(Exception):
    """What was asked for is not there."""


def quantity_below(most: str, least: str) -> bool:
    """Whether an upper bound of memory is below the lower one."""
    return pods.quantity(most, "max_mem") < pods.quantity(least, "init_mem")


def _number(given: str | int | None, what: str) -> str | None:
    if given is None:
        return None
    if not str(given).isdigit():
        raise ConfigError(f"{what} is {given!r}; a number is needed.")
    return str(given)


def _as_ours(error: Any) -> Exception:
    try:
        said = json.loads(error.body).get("message")
    except (TypeError, ValueError, AttributeError):
        said = None
    text = f"Kubernetes says {error.status} {error.reason}: {said or 'nothing more'}"
    if error.status == ALREADY_GONE:
        return _Gone(text)
    if error.status == 429 or error.status >= 500:  # noqa: PLR2004 - well-known numbers
        return ServiceUnavailable(text)
    return ConfigError(text)


def _one_line(error: Exception) -> str:
    return " ".join(str(getattr(error, "reason", None) or error).split())
